// A bench's command line: a run's plan, and what is measured.
#include "options/bench_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"
#include "common/flag_field.hpp"

namespace shardrift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

BenchOptions parsed(std::vector<std::string> words) {
  bool helped = false;
  words.insert(words.end(), {"--model", "m"});
  return parse_bench_options(words, helped);
}

TEST(BenchOptions, TakesAPlanAsARunDoes) {
  const std::vector<std::string> plan{"--tensor-parallel", "2",   "--dtype",     "bfloat16", "--batch",  "3",
                                      "--in-flight",       "2",   "--run-ahead", "off",      "--shards", "4",
                                      "--stall-timeout",   "120", "--threads",   "1"};
  auto of_run = plan;
  of_run.insert(of_run.end(), {"--model", "m", "--prompts", "p", "--output", "o"});
  bool helped = false;
  const auto run = parse_run_options(of_run, helped);
  const auto bench = parsed(plan).run;
  EXPECT_EQ(bench.plan, run.plan);
  EXPECT_EQ(bench.in_flight, run.in_flight);
  EXPECT_EQ(bench.run_ahead, run.run_ahead);
  EXPECT_EQ(bench.stall_timeout, 120);
  EXPECT_TRUE(bench.ignore_eos) << "every step is measured";
}

TEST(BenchOptions, AreLengthsAndCounts) {
  EXPECT_THAT(parsed({}).contexts, ElementsAre(16));
  EXPECT_TRUE(parsed({}).prefills.empty());
  const auto given = parsed({"--context", "5,1400", "--prefill", "7", "--tokens", "3", "--repeats", "1"});
  EXPECT_THAT(given.contexts, ElementsAre(5, 1400));
  EXPECT_THAT(given.prefills, ElementsAre(7));
  EXPECT_EQ(given.tokens, 3);
  EXPECT_EQ(given.repeats, 1);
  EXPECT_TRUE(parsed({"--context", "", "--prefill", "7"}).contexts.empty());
}

TEST(BenchOptions, RefusalsNameTheFlag) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> refused{
      {{"--context", "16,"}, "--context 16,: '' is not a number"},
      {{"--context", ",16"}, "--context ,16: '' is not a number"},
      {{"--context", ","}, "--context ,: '' is not a number"},
      {{"--prefill", "8,"}, "--prefill 8,: '' is not a number"},
      {{"--run-ahead", "on", "--in-flight", "2"}, "--run-ahead on with --in-flight 2"}};
  for (const auto& [words, says] : refused) try {
      parsed(words);
      ADD_FAILURE() << says;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
}

TEST(BenchOptions, ItsFlagsOfARunAreARuns) {
  int kept = 0;
  const RunOptions options;
  for_each_field(options,
                 [&](const auto& row, const auto&) { kept += is_bench_flag_of_run(row.key) ? 1 : 0; });
  EXPECT_EQ(kept, 7);
  for (const auto* flag : {"--prompts", "--output", "--mode", "--max-new-tokens", "--config"}) try {
      parsed({flag, "x"});
      ADD_FAILURE() << flag;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_THAT(error.what(), HasSubstr("see shardrift-run bench --help"));
    }
}

}  // namespace
}  // namespace shardrift
