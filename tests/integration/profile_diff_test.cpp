// shardrift profile diff with a record: both orders predicted on one device, and what they do to its steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

const std::string kProfiles = SHARDRIFT_SOURCE_DIR "/experiments/profiles/";
const std::string kMpi = kProfiles + "openmpi-4.1.4-3ranks.json",
                  kTwoShot = kProfiles + "two-shot-3ranks.json";

struct Diffed {
  Finished finished;
  json diff;  // null where there is none
};

Diffed diff(const fs::path& folder, const std::string& a, const std::string& b,
            const std::vector<std::string>& more) {
  static int count = 0;
  const fs::path out = folder / ("diff-" + std::to_string(count++) + ".json");
  std::vector<std::string> words{SHARDRIFT_BINARY_DIR "/bin/shardrift", "profile", "diff", a, b};
  words.insert(words.end(), more.begin(), more.end());
  words.insert(words.end(), {"--json", out.string()});
  Diffed diffed{run_program(words), nullptr};
  if (fs::exists(out)) diffed.diff = json::parse(std::ifstream(out));
  return diffed;
}

std::vector<std::string> with_run(const fs::path& record, const fs::path& output) {
  return {record.string(), "--run",         "--model",  fixture("tiny-llama").string(),
          "--output",      output.string(), "--device", "cpu"};
}

// The live ranks' record, predicted by what their machine's profile says and by another all-reduce.
TEST(ProfileDiffRun, LiveRanksAreThePredictionByTheirOwnProfile) {
  const fs::path folder = scratch("profile-diff-live");
  const auto real =
      record_of("tiny-llama", {3, {"--tensor-parallel", "3", "--dtype", "bfloat16"}}, folder, "tp3");
  const auto diffed = diff(folder, kMpi, kTwoShot, with_run(real, folder / "runs"));
  ASSERT_EQ(diffed.finished.code, 1) << diffed.finished.output;
  const auto& run = diffed.diff.at("run");
  const auto rows = diffed.diff.at("record").at("rows").get<std::int64_t>();
  EXPECT_EQ(rows, 4 * 9);
  EXPECT_EQ(run.at("rows"), rows);
  EXPECT_EQ(run.at("rows_of_record"), rows) << "A is the order in which the ranks added";
  EXPECT_EQ(diffed.diff.at("record").at("reached"), rows);
  EXPECT_GT(run.at("rows_differ"), 0);
  EXPECT_EQ(run.at("flips").size(), run.at("flips_named").get<std::size_t>());
  EXPECT_THAT(diffed.finished.output, HasSubstr("A has the record's bits in 36 of 36 rows"));
  // Nothing is run again, and without --run the same steps are named.
  const auto again = diff(folder, kMpi, kTwoShot, with_run(real, folder / "runs"));
  EXPECT_THAT(again.finished.output, HasSubstr("a: done already"));
  const auto offline = diff(folder, kMpi, kTwoShot, {real.string()});
  EXPECT_EQ(offline.finished.code, 1);
  EXPECT_EQ(offline.diff.at("record"), diffed.diff.at("record"));
  EXPECT_FALSE(offline.diff.contains("run"));
}

// One side by its name: our two-shot is NCCL's symmetric kernel where a message is small, and not a chain.
TEST(ProfileDiffRun, AnOrderByName) {
  const fs::path folder = scratch("profile-diff-name");
  const auto one = record_of("tiny-llama", {1, {"--dtype", "bfloat16"}}, folder, "one");
  const auto diffed = diff(folder, kTwoShot, "chain", with_run(one, folder / "runs"));
  ASSERT_EQ(diffed.finished.code, 1) << diffed.finished.output;
  EXPECT_GT(diffed.diff.at("run").at("rows_differ"), 0);
  const auto model = diff(folder, "linear", kProfiles + "one-shot-3ranks.json", {});
  EXPECT_EQ(model.finished.code, 1) << "16-bit messages round elsewhere";
  const auto same = diff(folder, kProfiles + "one-shot-4ranks.json", "vllm-one-stage", {});
  EXPECT_EQ(same.finished.code, 0) << same.finished.output;
  EXPECT_THAT(same.finished.output, HasSubstr("not known to B: "));
  EXPECT_THAT(same.finished.output, HasSubstr("the first the all-reduce of "));
  const auto neither = diff(folder, kMpi, "no-such-file.json", {});
  EXPECT_EQ(neither.finished.code, 64) << neither.finished.output;
  EXPECT_THAT(neither.finished.output, HasSubstr("no-such-file.json: no such file, and as an order: "));
}

TEST(ProfileDiffRun, TheSameOrderChangesNothing) {
  const fs::path folder = scratch("profile-diff-same");
  const auto one = record_of("tiny-llama", {1, {"--dtype", "bfloat16", "--mode", "score"}}, folder, "one");
  const auto diffed = diff(folder, kMpi, kMpi, with_run(one, folder / "runs"));
  ASSERT_EQ(diffed.finished.code, 0) << diffed.finished.output;
  EXPECT_EQ(diffed.diff.at("record").at("reached"), 0);
  EXPECT_EQ(diffed.diff.at("run").at("rows_differ"), 0);
  EXPECT_THAT(diffed.finished.output, HasSubstr("none can flip"));
  // One device's record is of another sum than the prediction's.
  EXPECT_LT(diffed.diff.at("run").at("rows_of_record"), diffed.diff.at("run").at("rows"));
}

// A record of tokens alone: the margins are the prediction's.
TEST(ProfileDiffRun, ARecordWithoutLogits) {
  const fs::path folder = scratch("profile-diff-top");
  const auto top = record_of("tiny-llama", {1, {"--dtype", "bfloat16", "--record", "top"}}, folder, "top");
  const auto offline = diff(folder, kMpi, kTwoShot, {top.string()});
  EXPECT_EQ(offline.finished.code, 65) << offline.finished.output;
  EXPECT_THAT(offline.finished.output, HasSubstr("has no logits"));
  const auto diffed = diff(folder, kMpi, kTwoShot, with_run(top, folder / "runs"));
  ASSERT_EQ(diffed.finished.code, 1) << diffed.finished.output;
  EXPECT_TRUE(diffed.diff.at("run").at("rows_of_record").is_null());
  EXPECT_EQ(diffed.diff.at("record").at("rows"), 36);
}

// A record of another engine: its passes are not known, its tokens are.
TEST(ProfileDiffRun, AnImportedRecord) {
  const fs::path folder = scratch("profile-diff-imported");
  const auto own = record::Reader::open(record_of("tiny-llama", {1, {}}, folder, "own"));
  const auto prompt = own.prompt("p0");
  std::vector<std::byte> words;
  own.read_logits("p0", 0, static_cast<std::int64_t>(prompt.rows.size()), words);
  std::string head = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                     std::to_string(prompt.rows.size()) + ", " + std::to_string(own.run().model.vocabulary) +
                     "), }";
  head.resize(118, ' ');  // with what is before it, a multiple of 64
  head.back() = '\n';
  std::ofstream npy(folder / "p0.npy", std::ios::binary);
  npy << "\x93NUMPY" << '\1' << '\0' << static_cast<char>(head.size()) << '\0' << head;
  npy.write(reinterpret_cast<const char*>(words.data()), static_cast<std::streamsize>(words.size()));
  npy.close();
  std::vector<std::int32_t> generated;
  for (const auto& row : prompt.rows) generated.push_back(row.chosen);
  std::ofstream(folder / "in.json") << json(prompt.prompt.tokens);
  std::ofstream(folder / "out.json") << json(generated);
  const auto imported = run_program(
      {SHARDRIFT_BINARY_DIR "/bin/shardrift", "import", (folder / "p0.npy").string(), "--prompt-tokens",
       (folder / "in.json").string(), "--generated-tokens", (folder / "out.json").string(), "--output",
       (folder / "engine.h5").string(), "--engine", "another engine"});
  ASSERT_EQ(imported.code, 0) << imported.output;
  const auto offline = diff(folder, kMpi, kTwoShot, {(folder / "engine.h5").string()});
  EXPECT_EQ(offline.finished.code, 65) << offline.finished.output;
  const auto diffed = diff(folder, kMpi, kTwoShot, with_run(folder / "engine.h5", folder / "runs"));
  ASSERT_EQ(diffed.finished.code, 1) << diffed.finished.output;
  EXPECT_EQ(diffed.diff.at("run").at("rows"), 9);
  EXPECT_TRUE(diffed.diff.at("run").at("rows_of_record").is_null());
  EXPECT_EQ(diffed.diff.at("record").at("reached"), 9);
}

// Servers give rows of the prompt's own tokens, too: whoever follows such a record is fed what was generated.
TEST(ProfileDiffRun, ARecordWithRowsOfThePromptIsFedWhatWasGenerated) {
  const fs::path folder = scratch("profile-diff-prompt-rows");
  const auto place = [](double logprob, int token) { return json::array({logprob, token, nullptr}); };
  const json answer{{"text", "x"},
                    {"meta_info",
                     {{"prompt_tokens", 3},
                      {"completion_tokens", 2},
                      {"input_token_logprobs", {place(0, 5), place(-0.75, 9), place(-1, 2)}},
                      {"input_top_logprobs", {nullptr, {place(-0.75, 9)}, {place(-0.5, 30)}}},
                      {"output_token_logprobs", {place(-0.2, 7), place(-0.3, 11)}},
                      {"output_top_logprobs", {{place(-0.2, 7)}, {place(-0.3, 11)}}}}}};
  std::ofstream(folder / "answers.jsonl") << answer << '\n';
  const fs::path engine = folder / "engine.h5", followed = folder / "followed.h5";
  const auto imported =
      run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "import", (folder / "answers.jsonl").string(),
                   "--model", fixture("tiny-llama").string(), "--output", engine.string(), "--engine",
                   "another engine", "--prompt-rows"});
  ASSERT_EQ(imported.code, 0) << imported.output;
  ASSERT_EQ(record::Reader::open(engine).prompt("p0").rows.size(), 4U);
  const auto run =
      run_program(worker_command(1, {"run", "--model", fixture("tiny-llama").string(), "--mode", "follow",
                                     "--follow", engine.string(), "--output", followed.string(), "--quiet"}));
  ASSERT_EQ(run.code, 0) << run.output;
  const auto prompt = record::Reader::open(followed).prompt("p0");
  EXPECT_EQ(prompt.prompt.tokens, (std::vector<std::int32_t>{5, 9, 2}));
  std::vector<std::int32_t> fed;
  for (const auto& row : prompt.rows) fed.push_back(row.input_id);
  EXPECT_EQ(fed, (std::vector<std::int32_t>{2, 7}));
}

TEST(ProfileDiffRun, WhatCannotBeIsRefused) {
  const fs::path folder = scratch("profile-diff-refused");
  const auto one = record_of("tiny-llama", {1, {}}, folder, "one");
  const auto refused = [&](int code, const std::string& words, const std::vector<std::string>& more) {
    const auto diffed = diff(folder, kMpi, kTwoShot, more);
    EXPECT_EQ(diffed.finished.code, code) << diffed.finished.output;
    EXPECT_THAT(diffed.finished.output, HasSubstr(words));
  };
  refused(64, "--model DIR is needed", {one.string(), "--run"});
  refused(64, "predicts a record", {"--run", "--model", fixture("tiny-llama").string()});
  refused(64, "--model goes with", {one.string(), "--model", fixture("tiny-llama").string()});
  refused(64, "of 2 shards", {record_of("tiny-llama", {1, {"--shards", "2"}}, folder, "two").string()});
  refused(
      64, "adds nothing across ranks",
      {record_of("tiny-llama", {1, {"--shards", "3", "--row-linear", "gather"}}, folder, "gather").string()});
  refused(65, "give its own --model",
          {one.string(), "--run", "--model", fixture("tiny-sharded").string(), "--output",
           (folder / "other").string(), "--device", "cpu"});
  EXPECT_FALSE(fs::exists(folder / "other" / "a.h5")) << "before anything was run";
  refused(65, "", {(folder / "none.h5").string()});
}

}  // namespace
}  // namespace shardrift::testing
