// What may be said of cost, from made-up timings: quiet, busy half way, repeats that differ.
#include <gmock/gmock.h>

#include "analysis/verdict/cost.hpp"
#include "tests/unit/statistics/synthetic.hpp"

namespace shardrift::verdict {
namespace {

using analysis::Measurement;
using analysis::RunSummary;
using statistics::testing::summary;
using ::testing::HasSubstr;

// A run on `devices` that takes `seconds` a token, between fastest and slowest times that.
RunSummary timed(int devices, double seconds, double fastest = 0.97, double slowest = 1.03) {
  RunSummary run = summary("run", devices, 1);
  run.pace = {100, true, seconds, fastest * seconds, slowest * seconds};
  return run;
}

std::vector<Measurement> repeats(const std::vector<RunSummary>& runs) {
  std::vector<Measurement> list;
  for (const auto& run : runs) list.emplace_back().candidate = run;
  return list;
}

TEST(Cost, OfAQuietMachineIsANumberWithItsInterval) {
  const auto cost = compare_cost(timed(1, 0.1), repeats({timed(1, 0.101)}), timed(2, 0.07));
  EXPECT_EQ(cost.unclear, "");
  EXPECT_NEAR(cost.times_reference, 2 * 0.07 / 0.1005, 1e-9);
  // Both within-run spreads and, for the candidate that ran once, that between the reference's runs.
  EXPECT_NEAR(cost.times.low, 2 * 0.97 * 0.07 / 1.01 / (1.03 * 0.101), 1e-9);
  EXPECT_NEAR(cost.times.high, 2 * 1.03 * 0.07 * 1.01 / (0.97 * 0.1), 1e-9);
  EXPECT_EQ(cost_words(cost), "1.39x (1.29 to 1.50) the reference's device time");
  EXPECT_NEAR(cost.device_seconds_per_1000_tokens, 140, 1e-9);
}

TEST(Cost, WithoutARepeatNothingIsClaimed) {
  const auto cost = compare_cost(timed(1, 0.1), {}, timed(2, 0.07));
  EXPECT_EQ(cost.times_reference, 0);
  EXPECT_TRUE(std::isnan(cost.times.low));
  EXPECT_EQ(cost.unclear, "one timing of each: the reference was not run again (--noise-floor)");
  EXPECT_EQ(cost_words(cost), "");
  // A repeat that was not timed, or scored at once, is none.
  auto untimed = timed(1, 0.1);
  untimed.pace = {};
  auto scored = timed(1, 0.1);
  scored.pace.decode = false;
  EXPECT_THAT(compare_cost(timed(1, 0.1), repeats({untimed, scored}), timed(2, 0.07)).unclear,
              HasSubstr("one timing of each"));
}

TEST(Cost, AMachineThatWasBusyHalfWayAllowsNoClaim) {
  const auto cost = compare_cost(timed(1, 0.1), repeats({timed(1, 0.1)}), timed(2, 0.1, 0.8, 1.6));
  EXPECT_EQ(cost.times_reference, 0);
  EXPECT_EQ(cost.unclear, "passes of one run differ by 2x in speed (the candidate's)");
  EXPECT_THAT(compare_cost(timed(1, 0.1, 0.8, 1.6), repeats({timed(1, 0.1)}), timed(2, 0.1)).unclear,
              HasSubstr("2x in speed (the reference's)"));
}

TEST(Cost, RepeatsThatDifferAllowNoClaim) {
  const auto cost = compare_cost(timed(1, 0.1), repeats({timed(1, 0.13)}), timed(2, 0.07));
  EXPECT_EQ(cost.times_reference, 0);
  EXPECT_EQ(cost.unclear, "the reference's own runs differ by 1.3x in speed");
}

// "A pipeline for 0.652x the device time of the reference": the reference had company.
TEST(Cost, ACheaperPipelineIsNotClaimedWithinTheNoise) {
  for (const double again : {0.1, 0.105, 0.12, 0.153})
    for (const double pipeline : {0.049, 0.05, 0.052}) {
      const auto cost = compare_cost(timed(1, 0.1), repeats({timed(1, again)}), timed(2, pipeline));
      const auto words = cost_words(cost);
      EXPECT_TRUE(words.empty() || words.starts_with("about the reference's device time: ")) << words;
    }
  EXPECT_EQ(cost_words(compare_cost(timed(1, 0.1), repeats({timed(1, 0.1)}), timed(2, 0.049))),
            "about the reference's device time: 0.98x (0.92 to 1.04)");
}

TEST(Cost, AFewPassesAreNoTiming) {
  auto few = timed(2, 0.07);
  few.pace.passes = 23;
  EXPECT_EQ(compare_cost(timed(1, 0.1), repeats({timed(1, 0.1)}), few).unclear,
            "only 23 passes were timed, at least 24 are needed");
  few.pace.passes = 24;
  EXPECT_EQ(compare_cost(timed(1, 0.1), repeats({timed(1, 0.1)}), few).unclear, "");
}

TEST(Cost, OfOtherPhasesIsNotCompared) {
  auto scored = timed(2, 0.01);
  scored.pace.decode = false;
  const auto cost = compare_cost(timed(1, 0.1), repeats({timed(1, 0.1)}), scored);
  EXPECT_EQ(cost.times_reference, 0);
  EXPECT_EQ(cost.unclear, "");
}

}  // namespace
}  // namespace shardrift::verdict
