// greedy, follow and score, and what they record.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

std::vector<float> row_of(const record::Reader& reader, const std::string& id, std::int64_t row) {
  std::vector<std::byte> words;
  reader.read_logits(id, row, row + 1, words);
  std::vector<float> values(words.size() / sizeof(float));
  std::memcpy(values.data(), words.data(), words.size());
  return values;
}

double relative_error(const std::vector<float>& value, const std::vector<float>& reference) {
  double error = 0;
  double size = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    error += std::pow(static_cast<double>(value[i]) - reference[i], 2);
    size += std::pow(reference[i], 2);
  }
  return std::sqrt(error / size);
}

TEST(Modes, GreedyRecordsRowsFromTheLastPromptToken) {
  const auto reader = record::Reader::open(record_of("tiny-llama", {1, {}}, scratch("greedy"), "one"));
  EXPECT_TRUE(reader.complete());
  const auto prompt = reader.prompt("p2");
  ASSERT_EQ(prompt.rows.size(), 9U);
  EXPECT_EQ(prompt.stop, "length");
  EXPECT_EQ(prompt.rows[0].input_id, prompt.prompt.tokens.back());
  EXPECT_EQ(prompt.rows[0].position, 16);
  for (std::size_t i = 1; i < prompt.rows.size(); ++i) {
    EXPECT_EQ(prompt.rows[i].input_id, prompt.rows[i - 1].chosen);
    EXPECT_EQ(prompt.rows[i].position, prompt.rows[i - 1].position + 1);
  }
  for (std::int64_t i = 0; i < 9; ++i) {
    const auto row = row_of(reader, "p2", i);
    const auto best = std::max_element(row.begin(), row.end()) - row.begin();
    EXPECT_EQ(prompt.rows[static_cast<std::size_t>(i)].chosen, best);
    EXPECT_EQ(prompt.top.ids[static_cast<std::size_t>(i * prompt.top.k)], best);
  }
  EXPECT_FALSE(reader.run().environment.devices.front().name.empty());
  EXPECT_EQ(reader.run().environment.libraries.count("torch"), 1U);
}

TEST(Modes, FollowingItsOwnGreedyRunGivesItsBits) {
  const fs::path folder = scratch("follow");
  const auto greedy = record_of("tiny-llama", {1, {}}, folder, "greedy");
  const auto followed =
      record_of("tiny-llama", {1, {"--mode", "follow", "--follow", greedy.string()}}, folder, "same");
  EXPECT_EQ(first_difference(greedy, followed), "");
  const auto other = record_of(
      "tiny-llama", {2, {"--mode", "follow", "--follow", greedy.string(), "--tensor-parallel", "2"}}, folder,
      "tp2");
  const auto a = record::Reader::open(greedy).prompt("p1");
  const auto b = record::Reader::open(other).prompt("p1");
  ASSERT_EQ(a.rows.size(), b.rows.size());
  for (std::size_t i = 0; i < a.rows.size(); ++i) EXPECT_EQ(a.rows[i].input_id, b.rows[i].input_id);
  EXPECT_EQ(b.stop, "given");
}

// The same tokens through one prefill pass and through decode steps: other matrix shapes, so other bits, but
// the same numbers.
TEST(Modes, PrefillAgreesWithDecode) {
  for (const auto* model : {"tiny-llama", "tiny-mistral", "tiny-llama-tied-rope3"}) {
    const fs::path folder = scratch(std::string("prefill-") + model);
    const auto greedy = record::Reader::open(record_of(model, {1, {}}, folder, "greedy"));
    std::ofstream file(folder / "whole.jsonl");
    for (const auto& id : greedy.prompt_ids()) {
      const auto prompt = greedy.prompt(id);
      file << R"({"id": ")" << id << R"(", "tokens": [)";
      for (std::size_t i = 0; i + 1 < prompt.prompt.tokens.size(); ++i)
        file << prompt.prompt.tokens[i] << ", ";
      for (std::size_t i = 0; i < prompt.rows.size(); ++i)
        file << (i == 0 ? "" : ", ") << prompt.rows[i].input_id;
      file << "]}\n";
    }
    file.close();
    const fs::path output = folder / "score.h5";
    const auto finished = run_program(worker_command(
        1, {"run", "--model", fixture(model).string(), "--prompts", (folder / "whole.jsonl").string(),
            "--output", output.string(), "--mode", "score", "--quiet"}));
    ASSERT_EQ(finished.code, 0) << finished.output;
    // The record itself can be scored: the same tokens, so the same bits.
    const auto scored =
        record_of(model, {1, {"--mode", "score", "--follow", greedy.path().string()}}, folder, "scored");
    EXPECT_EQ(first_difference(output, scored), "");
    const auto score = record::Reader::open(output);
    for (const auto& id : greedy.prompt_ids()) {
      const auto prompt = greedy.prompt(id);
      ASSERT_EQ(score.prompt(id).rows.size(), prompt.prompt.tokens.size() + prompt.rows.size() - 1);
      for (const auto& row : prompt.rows) {
        const auto index = &row - prompt.rows.data();
        EXPECT_LE(relative_error(row_of(score, id, row.position), row_of(greedy, id, index)), 1e-5)
            << model << " " << id << " position " << row.position;
      }
    }
  }
}

TEST(Modes, ScoreInBlocksRecordsEveryRow) {  // longer than one head product
  const fs::path folder = scratch("blocks");
  std::ofstream file(folder / "long.jsonl");
  file << R"({"id": "long", "tokens": [)";
  const int length = 120;
  for (int i = 0; i < length; ++i) file << (i == 0 ? "" : ", ") << i % 100;
  file << "]}\n";
  file.close();
  for (const int ranks : {1, 2}) {
    const fs::path output = folder / ("tp" + std::to_string(ranks) + ".h5");
    const auto finished = run_program(
        worker_command(ranks, {"run", "--model", fixture("tiny-llama").string(), "--prompts",
                               (folder / "long.jsonl").string(), "--output", output.string(), "--mode",
                               "score", "--quiet", "--tensor-parallel", std::to_string(ranks)}));
    ASSERT_EQ(finished.code, 0) << finished.output;
    EXPECT_EQ(record::Reader::open(output).prompt("long").rows.size(), static_cast<std::size_t>(length));
  }
}

TEST(Modes, ConfigFileAndCommandLineAgree) {
  const fs::path folder = scratch("config");
  std::ofstream(folder / "run.conf") << "model = " << fixture("tiny-llama").string()
                                     << "\nprompts = " << write_prompts(folder).string()
                                     << "\nmax-new-tokens = 9\nignore-eos = true\nquiet = true\n";
  const auto finished = run_program(worker_command(
      1, {"run", "--config", (folder / "run.conf").string(), "--output", (folder / "config.h5").string()}));
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_EQ(first_difference(record_of("tiny-llama", {1, {}}, folder, "flags"), folder / "config.h5"), "");
}

TEST(Modes, TopLevelKeepsNoLogits) {
  const auto reader = record::Reader::open(
      record_of("tiny-llama", {1, {"--record", "top", "--top-k", "3"}}, scratch("top"), "top"));
  EXPECT_FALSE(reader.has_logits("p0"));
  EXPECT_EQ(reader.prompt("p0").top.k, 3);
  EXPECT_EQ(reader.prompt("p0").top.ids.size(), 27U);
}

}  // namespace
}  // namespace shardrift::testing
