// The row-linear modes through whole models: gather on any machine, scatter against reduce and its
// prediction.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Flags = std::vector<std::string>;

Case with(Case c, const Flags& more) {
  c.flags.insert(c.flags.end(), more.begin(), more.end());
  return c;
}

Case gather(int shards, int ranks, const Flags& more = {}) {
  return with({ranks,
               {"--row-linear", "gather", "--shards", std::to_string(shards), "--tensor-parallel",
                std::to_string(ranks)}},
              more);
}

Case summed(const std::string& row_linear, int ranks, const std::string& order, const Flags& more = {}) {
  return with({ranks,
               {"--row-linear", row_linear, "--shards", "4", "--tensor-parallel", std::to_string(ranks),
                "--reduction", order}},
              more);
}

// Every case records the same bits as the first; returns the first's record.
fs::path expect_equal(const std::string& model, const std::string& name, const std::vector<Case>& cases) {
  const fs::path folder = scratch("row-linear-" + name);
  fs::path first;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const fs::path record = record_of(model, cases[i], folder, std::to_string(i));
    if (::testing::Test::HasFailure()) return first;
    if (i == 0) first = record;
    EXPECT_EQ(first_difference(first, record), "") << name << ": case 0 against case " << i;
  }
  return first;
}

TEST(Gather, FourShardsOnOneTwoAndFourRanks) {
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const Flags flags{"--dtype", dtype};
    for (const std::string model : {"tiny-llama", "tiny-llama-headdim"})
      expect_equal(model, model + "-" + dtype,
                   {gather(4, 1, flags), gather(4, 2, flags), gather(4, 4, flags)});
  }
}

TEST(Gather, OddAndEmptyShardsStagesAndBatches) {
  expect_equal("tiny-llama", "three", {gather(3, 1), gather(3, 3)});
  expect_equal("tiny-llama", "thirty-two", {gather(32, 1), gather(32, 4)});  // fewer heads than shards
  Case stages = gather(4, 2, {"--pipeline", "2", "--batch", "3"});
  stages.ranks = 4;
  expect_equal("tiny-llama", "stages", {gather(4, 1, {"--batch", "3"}), stages});
}

TEST(Gather, OneShardIsOneDevice) {
  expect_equal("tiny-llama", "one-shard", {{1, {}}, gather(1, 1)});
}

TEST(Gather, ExactModelsAreTheSameUnderEveryPlan) {
  const std::vector<Case> cases{{1, {}},      gather(2, 1),
                                gather(3, 3), gather(4, 2),
                                gather(8, 4), {2, {"--row-linear", "scatter", "--tensor-parallel", "2"}}};
  expect_equal("tiny-exact", "exact", cases);
}

// Control: a product over all of K rounds otherwise than a sum of four.
TEST(Gather, GivesOtherBitsThanASum) {
  const fs::path folder = scratch("row-linear-control");
  const auto gathered = record_of("tiny-llama", gather(4, 1), folder, "gather");
  const auto reduced = record_of("tiny-llama", summed("reduce", 1, "linear"), folder, "reduce");
  EXPECT_NE(first_difference(gathered, reduced), "");
}

TEST(Gather, RecordsItselfAndNoCollective) {
  const fs::path folder = scratch("row-linear-record");
  const auto record = record_of("tiny-llama", gather(2, 2), folder, "gather", 1);
  const auto run = record::Reader::open(record).run();
  EXPECT_THAT(run.plan, HasSubstr(R"("row_linear":"gather")"));
  EXPECT_TRUE(run.environment.collectives.empty());
}

TEST(Gather, RefusesAReduction) {
  const fs::path folder = scratch("row-linear-refusal");
  for (const Flags& flags :
       {Flags{"--reduction", "tree"}, Flags{"--accumulate", "float64"}, Flags{"--partial", "float32"}}) {
    Flags arguments{"run",
                    "--model",
                    fixture("tiny-llama").string(),
                    "--prompts",
                    write_prompts(folder).string(),
                    "--output",
                    (folder / "out.h5").string()};
    const auto all = gather(4, 1, flags).flags;
    arguments.insert(arguments.end(), all.begin(), all.end());
    const auto finished = run_program(worker_command(1, arguments));
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("--row-linear gather"));
    EXPECT_THAT(finished.output, HasSubstr(flags[0]));
  }
}

// A fold is the same sum however its bytes would have moved.
TEST(Scatter, LocalFoldsKeepTheirBits) {
  for (const std::string order : {"linear", "ring"})
    expect_equal("tiny-llama", "fold-" + order,
                 {summed("reduce", 1, order), summed("scatter", 1, order), summed("scatter", 4, order)});
}

// Two shards have one order.
TEST(Scatter, OfTwoRanksIsReduce) {
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const Flags flags{"--tensor-parallel", "2", "--dtype", dtype};
    expect_equal("tiny-llama", "scatter-two-" + dtype,
                 {{2, flags}, with({2, flags}, {"--row-linear", "scatter"})});
  }
}

class ScatterPrediction : public ::testing::TestWithParam<int> {};

// tiny-llama's hidden is 72: one row on four ranks is padded, in every dtype.
TEST_P(ScatterPrediction, OneDeviceGivesTheBitsOfRealRanks) {
  const std::string n = std::to_string(GetParam());
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const fs::path folder = scratch("row-linear-prediction-" + n + "-" + dtype);
    const std::string profile = (folder / "profile.json").string();
    const auto probed = run_program(worker_command(
        GetParam(), {"probe", "--device", "cpu", "--operation", "reduce-scatter", "--tokens", "1,5,17,40",
                     "--hidden", "72", "--dtype", dtype, "--save-profile", profile, "--quiet"}));
    ASSERT_EQ(probed.code, 0) << probed.output;
    const Flags flags{"--row-linear", "scatter", "--shards", n, "--dtype", dtype};
    const auto real =
        record_of("tiny-llama", with({GetParam(), flags}, {"--tensor-parallel", n}), folder, "real");
    const auto predicted =
        record_of("tiny-llama", with({1, flags}, {"--reduction", "profile", "--collective-profile", profile}),
                  folder, "predicted");
    ASSERT_FALSE(HasFailure());
    EXPECT_EQ(first_difference(real, predicted), "") << n << " ranks, " << dtype;

    const auto seen = record::Reader::open(real).run().environment.collectives;
    const auto used = record::Reader::open(predicted).run().environment.collectives;
    ASSERT_EQ(seen.size(), 4U);
    ASSERT_EQ(used.size(), 4U);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].operation, "reduce-scatter");
      EXPECT_EQ(used[i].operation, "reduce-scatter");
      EXPECT_EQ(seen[i].count, used[i].count);
      EXPECT_EQ(seen[i].segments, used[i].segments);
      EXPECT_EQ(seen[i].trees, used[i].trees);
    }
    EXPECT_EQ(seen.front().count % (GetParam() * 16 / (dtype == "float32" ? 4 : 2)), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, ScatterPrediction, ::testing::Values(3, 4));

// Control: an all-reduce's profile says nothing about a reduce-scatter.
TEST(Scatter, AsksForAProfileOfItsOwnOperation) {
  const fs::path folder = scratch("row-linear-wrong-profile");
  const std::string profile = (folder / "profile.json").string();
  const auto probed =
      run_program(worker_command(4, {"probe", "--device", "cpu", "--tokens", "1,5,17,40", "--hidden", "72",
                                     "--save-profile", profile, "--quiet"}));
  ASSERT_EQ(probed.code, 0) << probed.output;
  const auto finished = run_program(worker_command(
      1, {"run", "--model", fixture("tiny-llama").string(), "--prompts", write_prompts(folder).string(),
          "--output", (folder / "out.h5").string(), "--row-linear", "scatter", "--shards", "4", "--reduction",
          "profile", "--collective-profile", profile}));
  EXPECT_EQ(finished.code, 64) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("reduce-scatter"));
}

}  // namespace
}  // namespace shardrift::testing
