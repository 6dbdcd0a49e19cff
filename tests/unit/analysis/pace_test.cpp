// From the times of passes to a pace: each pass once, blocks in time, resumed runs, replicas.
#include <gtest/gtest.h>

#include "analysis/measure/pace.hpp"
#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

record::Row row(std::int32_t call, double seconds, std::int32_t rows = 1,
                record::Phase phase = record::Phase::decode) {
  record::Row one;
  one.forward_call = call;
  one.forward_rows = rows;
  one.phase = phase;
  one.seconds = seconds;
  return one;
}

// A prompt whose prefill is pass `first` and whose decode passes follow it.
record::PromptRecord prompt(std::int32_t first, const std::vector<double>& decode, std::int32_t rows = 1) {
  record::PromptRecord one;
  one.rows.push_back(row(first, 9, 4, record::Phase::prefill));
  for (const double seconds : decode) one.rows.push_back(row(++first, seconds, rows));
  return one;
}

TEST(Pace, IsOfTheDecodePassesByBlocks) {
  TimedPasses passes;
  for (int j = 0; j < 10; ++j) passes.add(prompt(10 * j, std::vector<double>(8, 0.1)));
  const auto pace = passes.pace();
  EXPECT_EQ(pace.passes, 80);
  EXPECT_TRUE(pace.decode);
  EXPECT_EQ(pace.seconds, 0.1);
  EXPECT_EQ(pace.fastest, 0.1);
  EXPECT_EQ(pace.slowest, 0.1);
}

TEST(Pace, OneSlowPassIsNoSlowRun) {
  TimedPasses passes;
  std::vector<double> seconds(80, 0.1);
  seconds[33] = 5;
  passes.add(prompt(0, seconds));
  EXPECT_EQ(passes.pace().slowest, 0.1);
}

// A neighbour came when half was done.
TEST(Pace, ABusyHalfIsInTheSpread) {
  TimedPasses passes;
  std::vector<double> seconds(40, 0.1);
  seconds.insert(seconds.end(), 40, 0.25);
  passes.add(prompt(0, seconds));
  const auto pace = passes.pace();
  EXPECT_EQ(pace.fastest, 0.1);
  EXPECT_EQ(pace.slowest, 0.25);
  EXPECT_DOUBLE_EQ(pace.seconds, 0.175);
}

TEST(Pace, APassOfSeveralPromptsCountsOnceAndByItsRows) {
  TimedPasses passes;
  for (int j = 0; j < 4; ++j) {  // prefills 0 to 3, then eight decode passes that all four share
    record::PromptRecord one;
    one.rows.push_back(row(j, 9, 4, record::Phase::prefill));
    for (int i = 0; i < 8; ++i) one.rows.push_back(row(4 + i, 0.4, 4));
    passes.add(one);
  }
  EXPECT_EQ(passes.pace().passes, 8);
  EXPECT_EQ(passes.pace().seconds, 0.1);
}

// 36 prompts by eight: the last four have passes of their own, which cost as much.
TEST(Pace, IsThatOfFullBatches) {
  TimedPasses passes;
  for (int group = 0; group < 5; ++group)
    for (int j = 0; j < (group < 4 ? 8 : 4); ++j) {
      record::PromptRecord one;
      one.rows.push_back(row(100 * group + j, 9, 4, record::Phase::prefill));
      for (int i = 0; i < 8; ++i) one.rows.push_back(row(100 * group + 10 + i, 0.8, group < 4 ? 8 : 4));
      passes.add(one);
    }
  EXPECT_EQ(passes.pace().passes, 32);
  EXPECT_EQ(passes.pace().seconds, 0.1);
  EXPECT_EQ(passes.pace().slowest, 0.1);
}

TEST(Pace, AResumedRunCountsItsPassesAnew) {
  TimedPasses passes;
  passes.add(prompt(0, std::vector<double>(8, 0.1)));
  passes.add(prompt(9, std::vector<double>(8, 0.1)));
  passes.add(prompt(0, std::vector<double>(8, 0.3)));  // the second process
  passes.add(prompt(9, std::vector<double>(8, 0.3)));
  EXPECT_EQ(passes.pace().passes, 32);
  EXPECT_EQ(passes.pace().fastest, 0.1);
  EXPECT_EQ(passes.pace().slowest, 0.3);
}

// Prompts that one pass prefilled are of one process.
TEST(Pace, PromptsPrefilledTogetherAreNoResumedRun) {
  TimedPasses passes;
  for (int process = 0; process < 2; ++process)
    for (int j = 0; j < 3; ++j) {
      auto one = prompt(0, std::vector<double>(8, 0.1 + 0.2 * process));
      one.rows.front().batch_row = 5 * j + 4;
      passes.add(one);
    }
  EXPECT_EQ(passes.pace().passes, 16);  // eight of each process, shared by three prompts
}

TEST(Pace, ReplicasRunAtOnce) {
  TimedPasses passes;
  for (int j = 0; j < 4; ++j) {
    auto one = prompt(9 * (j / 2), std::vector<double>(8, j % 2 == 0 ? 0.1 : 0.2));
    one.replica = j % 2;
    passes.add(one);
  }
  EXPECT_EQ(passes.pace().passes, 32);
  EXPECT_EQ(passes.pace().fastest, 0.1);
  EXPECT_EQ(passes.pace().slowest, 0.2);
}

TEST(Pace, OfARunThatOnlyScoresItIsOfPrefill) {
  TimedPasses passes;
  record::PromptRecord one;
  for (int i = 0; i < 6; ++i) one.rows.push_back(row(0, 3, 6, record::Phase::prefill));
  passes.add(one);
  EXPECT_EQ(passes.pace().passes, 1);
  EXPECT_FALSE(passes.pace().decode);
  EXPECT_EQ(passes.pace().seconds, 0.5);
}

TEST(Pace, IsReadFromARecord) {
  const record::testing::Scratch scratch;
  const auto run = testing::small_run();
  // Each has one prefill row and decode passes of two rows that took 1.5 and 2.5 s.
  record::testing::write_record(scratch / "one.h5", run, {record::testing::example_prompt(run, "p0", 0)});
  const auto pace = pace_of(record::Reader::open(scratch / "one.h5"));
  EXPECT_EQ(pace.passes, 2);
  EXPECT_EQ(pace.fastest, 0.75);
  EXPECT_EQ(pace.seconds, 1);
  EXPECT_EQ(pace.slowest, 1.25);
}

// What a damaged or hostile record may hold.
TEST(Pace, WithoutTimesThereIsNone) {
  TimedPasses passes;
  EXPECT_EQ(passes.pace().passes, 0);
  passes.add({});
  record::PromptRecord one;
  for (const double seconds :
       {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    one.rows.push_back(row(1, seconds));
  one.rows.push_back(row(1, 1, 0));
  passes.add(one);
  EXPECT_EQ(passes.pace().passes, 0);
}

}  // namespace
}  // namespace shardrift::analysis
