// The explanation ladder through the worker: the last rung, on one device, has the bits of live MPI ranks,
// and a wrong order does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Explained {
  Finished finished;
  json ladder;  // null where there is none
  std::vector<std::string> rungs() const {
    std::vector<std::string> names;
    for (const auto& rung : ladder.at("rungs")) names.push_back(rung.at("name"));
    return names;
  }
};

// shardrift explain --run on a fixture.
Explained explain(const fs::path& folder, const std::string& name, const std::vector<std::string>& flags,
                  const std::string& model = "tiny-llama") {
  const fs::path out = folder / (name + ".json");
  std::vector<std::string> command{SHARDRIFT_BINARY_DIR "/bin/shardrift",
                                   "explain",
                                   "--run",
                                   "--model",
                                   fixture(model).string(),
                                   "--output",
                                   (folder / name).string(),
                                   "--json",
                                   out.string(),
                                   "--device",
                                   "cpu"};
  command.insert(command.end(), flags.begin(), flags.end());
  Explained explained{run_program(command), nullptr};
  if (fs::exists(out)) explained.ladder = json::parse(std::ifstream(out));
  return explained;
}

std::int64_t residue(const Explained& explained) {
  return explained.ladder.at("residue").at("bits").get<std::int64_t>();
}

// Live ranks beside the rungs, the order from the shipped profile of this machine's MPI.
TEST(ExplainRun, LiveRanksAreExplainedCompletely) {
  const fs::path folder = scratch("explain-live");
  const auto prompts = write_prompts(folder).string();
  const auto four =
      explain(folder, "four", {"--shards", "4", "--live", "--dtype", "bfloat16", "--prompts", prompts});
  ASSERT_EQ(four.finished.code, 0) << four.finished.output;
  EXPECT_THAT(four.rungs(), ElementsAre("reference", "product", "shards", "partials", "hops", "order",
                                        "prediction", "real"));
  EXPECT_EQ(residue(four), 0);
  EXPECT_EQ(four.ladder.at("complete"), true);
  EXPECT_THAT(four.finished.output, HasSubstr("residue: 0 bits: the explanation is complete"));
  // The rungs are not all one: rounding the partials, hops and the order each move bits.
  for (const std::size_t i : {3U, 4U, 5U}) {
    EXPECT_GT(four.ladder.at("rungs")[i].at("step").at("bits"), 0) << i;
    EXPECT_EQ(four.ladder.at("rungs")[i].at("first_difference").at("operation"), "attention_sum") << i;
  }
  double shares = 0;
  for (std::size_t i = 1; i < 8; ++i) shares += four.ladder.at("rungs")[i].at("share").get<double>();
  EXPECT_NEAR(shares, 1, 1e-12);

  const auto three =
      explain(folder, "three", {"--shards", "3", "--live", "--dtype", "float32", "--prompts", prompts});
  ASSERT_EQ(three.finished.code, 0) << three.finished.output;
  EXPECT_THAT(three.rungs(), ElementsAre("reference", "shards", "hops", "prediction", "real"));
  EXPECT_EQ(residue(three), 0);
}

// From the record alone: its prompts or tokens, its plan, and the order it was seen to add in.
TEST(ExplainRun, ARecordIsExplainedFromItself) {
  const fs::path folder = scratch("explain-real");
  const auto greedy = record_of(
      "tiny-llama", {4, {"--tensor-parallel", "4", "--dtype", "float16", "--batch", "2"}}, folder, "greedy");
  const auto explained = explain(folder, "greedy-rungs", {"--real", greedy.string()});
  ASSERT_EQ(explained.finished.code, 0) << explained.finished.output;
  EXPECT_EQ(residue(explained), 0);
  // Every row of a greedy record: the rungs follow its tokens.
  EXPECT_EQ(explained.ladder.at("rows"), 4 * 9);

  const auto stages =
      record_of("tiny-llama",
                {4, {"--tensor-parallel", "2", "--pipeline", "2", "--dtype", "bfloat16", "--mode", "score"}},
                folder, "stages");
  const auto two = explain(folder, "stages-rungs", {"--real", stages.string()});
  ASSERT_EQ(two.finished.code, 0) << two.finished.output;
  EXPECT_THAT(two.rungs(),
              ElementsAre("reference", "product", "shards", "partials", "hops", "prediction", "real"));
  EXPECT_EQ(residue(two), 0);
}

// Control: an order that is not the run's leaves a residue; the run's own leaves none.
// Our own all-reduces round once: live from the shipped profile of two-shot, a record from itself, one-shot
// from its definition.
TEST(ExplainRun, OurOwnCollectivesAreExplainedCompletely) {
  const fs::path folder = scratch("explain-collectives");
  const auto prompts = write_prompts(folder).string();
  const auto live = explain(
      folder, "live",
      {"--shards", "3", "--live", "--collective", "two-shot", "--dtype", "bfloat16", "--prompts", prompts});
  ASSERT_EQ(live.finished.code, 0) << live.finished.output;
  EXPECT_THAT(live.finished.output, HasSubstr("two-shot-3ranks.json"));
  EXPECT_THAT(live.rungs(), ElementsAre("reference", "product", "shards", "partials", "hops", "order",
                                        "prediction", "real"));
  EXPECT_EQ(residue(live), 0);
  for (const std::string collective : {"one-shot", "two-shot"}) {
    const auto real = record_of("tiny-llama",
                                {3,
                                 {"--tensor-parallel", "3", "--collective", collective, "--dtype", "bfloat16",
                                  "--record", "hidden", "--checksums"}},
                                folder, collective + "-real");
    const auto explained = explain(folder, collective, {"--real", real.string()});
    ASSERT_EQ(explained.finished.code, 0) << explained.finished.output;
    EXPECT_EQ(explained.rungs().size(), collective == "one-shot" ? 7U : 8U);
    EXPECT_EQ(residue(explained), 0) << collective;
  }
}

TEST(ExplainRun, AWrongOrderLeavesAResidue) {
  const fs::path folder = scratch("explain-control");
  const auto chain = record_of(
      "tiny-llama", {4, {"--tensor-parallel", "4", "--mode", "score", "--mpi-allreduce", "basic-linear"}},
      folder, "chain");
  const std::string free = SHARDRIFT_SOURCE_DIR "/experiments/profiles/openmpi-4.1.4-4ranks.json";
  const auto wrong = explain(folder, "rungs", {"--real", chain.string(), "--collective-profile", free});
  EXPECT_EQ(wrong.finished.code, 1) << wrong.finished.output;
  EXPECT_GT(residue(wrong), 0);
  EXPECT_EQ(wrong.ladder.at("complete"), false);
  EXPECT_THAT(wrong.finished.output, HasSubstr("is not what the real run did"));
  // Other settings of a rung in the same folder: said, not silently mixed.
  const auto mixed = explain(folder, "rungs", {"--real", chain.string()});
  EXPECT_EQ(mixed.finished.code, 64) << mixed.finished.output;
  const auto right = explain(folder, "rungs", {"--real", chain.string(), "--rerun-changed"});
  EXPECT_EQ(right.finished.code, 0) << right.finished.output;
  EXPECT_EQ(residue(right), 0);
}

// Routes of two records of a ladder's folder, as compare tells them apart.
json routes_between(const fs::path& folder, const std::string& reference, const std::string& candidate) {
  const auto path = [&](const std::string& name) { return (folder / (name + ".h5")).string(); };
  const fs::path out = folder / (candidate + ".compared.json");
  run_program({SHARDRIFT_BINARY_DIR "/bin/shardrift", "compare", path(reference), path(candidate),
               "--no-cache", "--json", out.string()});
  return json::parse(std::ifstream(out)).at("candidates")[0].at("routes");
}

// Of a mixture: arithmetic alone under the reference's routes, then all flips at once.
TEST(ExplainRun, OtherRoutesAreARungOfTheirOwn) {
  const fs::path folder = scratch("explain-routes");
  const auto prompts = write_prompts(folder, 32, 101).string();
  const auto four =
      explain(folder, "four", {"--shards", "4", "--live", "--dtype", "bfloat16", "--prompts", prompts},
              "tiny-mixtral-window");
  ASSERT_EQ(four.finished.code, 0) << four.finished.output;
  EXPECT_THAT(four.rungs(), ElementsAre("reference", "product", "shards", "partials", "hops", "order",
                                        "prediction", "routes", "real"));
  EXPECT_EQ(residue(four), 0);
  for (const auto* rung : {"product", "shards", "partials", "hops", "order", "prediction"}) {
    const auto routes = routes_between(folder / "four", "reference", rung);
    EXPECT_EQ(routes.at("pairs_flipped"), 0) << rung;
    if (rung != std::string("product")) {  // which may be the same kernel
      EXPECT_GT(routes.at("max_drift"), 0) << rung;
    }
  }
  const auto own = routes_between(folder / "four", "reference", "routes");
  EXPECT_GT(own.at("pairs_flipped"), 0);
  EXPECT_GT(four.ladder.at("rungs")[7].at("step").at("bits"), 0);
  EXPECT_EQ(four.ladder.at("rungs")[7].at("kind"), "routes");
  // A record is explained likewise, here of whole experts on each device.
  const auto greedy =
      record_of("tiny-qwen3-moe", {2, {"--tensor-parallel", "2", "--expert-parallel", "--dtype", "bfloat16"}},
                folder, "greedy");
  const auto two = explain(folder, "two", {"--real", greedy.string()}, "tiny-qwen3-moe");
  ASSERT_EQ(two.finished.code, 0) << two.finished.output;
  EXPECT_THAT(two.rungs(), ElementsAre("reference", "product", "shards", "partials", "hops", "prediction",
                                       "routes", "real"));
  EXPECT_EQ(residue(two), 0);
  const auto dealt =
      explain(folder, "dealt", {"--shards", "2", "--live", "--expert-parallel", "--prompts", prompts},
              "tiny-mixtral-window");
  ASSERT_EQ(dealt.finished.code, 0) << dealt.finished.output;
  EXPECT_EQ(residue(dealt), 0);
}

TEST(ExplainRun, WhatCannotBeIsRefused) {
  const fs::path folder = scratch("explain-refused");
  const auto one = record_of("tiny-llama", {1, {}}, folder, "one");
  const auto refused = [&](int code, const std::string& words, const std::vector<std::string>& flags) {
    const auto explained = explain(folder, "rungs", flags);
    EXPECT_EQ(explained.finished.code, code) << explained.finished.output;
    EXPECT_THAT(explained.finished.output, HasSubstr(words));
  };
  refused(64, "no run on several devices", {"--real", one.string()});
  refused(64, "at least 2", {"--shards", "1", "--prompts", write_prompts(folder).string()});
  refused(64, "leave out --shards", {"--real", one.string(), "--shards", "4"});
  refused(64, "leave out --expert-parallel", {"--real", one.string(), "--expert-parallel"});
  refused(64, "either --prompts", {"--shards", "4"});
  refused(65, "no such file", {"--real", (folder / "none.h5").string()});
  // A ladder is made of logits: said before the rungs are.
  const auto top = record_of("tiny-llama", {2, {"--tensor-parallel", "2", "--record", "top"}}, folder, "top");
  const auto explained = explain(folder, "of-top", {"--real", top.string()});
  EXPECT_EQ(explained.finished.code, 65) << explained.finished.output;
  EXPECT_THAT(explained.finished.output, HasSubstr("top.h5: prompt "));
  EXPECT_THAT(explained.finished.output, HasSubstr("has no logits: record them, --record logits"));
  EXPECT_FALSE(fs::exists(folder / "of-top" / "logs"));
}

// Every rung has the weights of the run that is explained: quantized ones, by a flag or by the record's plan.
TEST(ExplainRun, QuantizedWeightsOnEveryRung) {
  const fs::path folder = scratch("explain-quantized");
  const auto prompts = write_prompts(folder).string();
  const auto live =
      explain(folder, "live",
              {"--shards", "3", "--live", "--dtype", "bfloat16", "--quantize", "nf4", "--prompts", prompts});
  ASSERT_EQ(live.finished.code, 0) << live.finished.output;
  EXPECT_EQ(residue(live), 0);
  EXPECT_THAT(live.finished.output, HasSubstr("nf4 weights"));
  const auto real =
      record_of("tiny-llama", {2, {"--tensor-parallel", "2", "--dtype", "bfloat16", "--quantize", "int8"}},
                folder, "tp2");
  const auto recorded = explain(folder, "recorded", {"--real", real.string()});
  ASSERT_EQ(recorded.finished.code, 0) << recorded.finished.output;
  EXPECT_EQ(residue(recorded), 0);
  const auto both = explain(folder, "both", {"--real", real.string(), "--quantize", "int8"});
  EXPECT_EQ(both.finished.code, 64);
  EXPECT_THAT(both.finished.output, HasSubstr("leave out --quantize"));
}

}  // namespace
}  // namespace shardrift::testing
