#include "analysis/statistics/reweighting.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "analysis/statistics/proportion.hpp"
#include "analysis/statistics/run_statistics.hpp"
#include "tests/unit/statistics/synthetic.hpp"

namespace shardrift::statistics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
const BootstrapOptions kMany{1, 40000, 0.95};

Clustered per_prompt(std::vector<double> values) {
  Clustered result;
  result.rows.assign(values.size(), 1);
  result.sum = std::move(values);
  return result;
}

Clustered events(int happened, int prompts) {
  std::vector<double> values(static_cast<std::size_t>(prompts), 0);
  std::fill(values.begin(), values.begin() + happened, 1);
  return per_prompt(values);
}

// Of one row a prompt it is the exact interval: drawn, so within what 40,000 draws leave open.
TEST(Reweighting, OfSharesIsClopperAndPearsons) {
  for (const auto& [happened, prompts] : {std::pair{0, 30}, {1, 30}, {9, 30}, {3, 100}, {30, 30}}) {
    const auto exact = proportion(happened, prompts, 0.95).interval;
    const auto drawn = reweighted_mean(events(happened, prompts), {1, 1, true}, kMany);
    EXPECT_EQ(drawn.value, static_cast<double>(happened) / prompts);
    EXPECT_NEAR(drawn.interval.low, exact.low, 0.003) << happened << " of " << prompts;
    EXPECT_NEAR(drawn.interval.high, exact.high, 0.003) << happened << " of " << prompts;
  }
}

// No flip in 30 prompts of 32 rows: in greedy runs a prompt has one at most, else all of its rows may.
TEST(Reweighting, NothingSeenIsNotNothing) {
  Clustered none;
  none.sum.assign(30, 0);
  none.rows.assign(30, 32);
  const double share = detectable_share(30, 0.95);
  const auto greedy = reweighted_mean(none, {1, 1, true}, kMany);
  EXPECT_EQ(greedy.value, 0);
  EXPECT_NEAR(greedy.interval.high, share / ((1 - share) * 32 + share), 2e-4);
  const auto follow = reweighted_mean(none, worst_of_rows(none.rows, 1, true), kMany);
  EXPECT_NEAR(follow.interval.high, share, 0.003);
}

// Rows of a prompt that say the same are no more than one.
TEST(Reweighting, TakesPromptsWhole) {
  Clustered rows = events(3, 30);
  for (double& count : rows.rows) count = 50;
  for (double& sum : rows.sum) sum *= 50;
  const auto one = reweighted_mean(events(3, 30), {1, 1, true}, kMany);
  const auto many = reweighted_mean(rows, worst_of_rows(rows.rows, 1, true), kMany);
  EXPECT_NEAR(many.interval.high, one.interval.high, 1e-12);
  EXPECT_NEAR(many.interval.low, one.interval.low, 1e-12);
}

TEST(Reweighting, ATailOfTooFewValuesHasNoEnd) {
  std::vector<double> values(40, 0);
  for (std::size_t i = 0; i < 9; ++i) values[i] = 0.001;
  const auto nine = reweighted_mean(per_prompt(values), {}, kMany);
  EXPECT_EQ(nine.interval.high, kInfinity);
  EXPECT_EQ(nine.method, IntervalMethod::reweighted);
  values[9] = 0.001;
  EXPECT_LT(reweighted_mean(per_prompt(values), {}, kMany).interval.high, 0.001);
  // A bound that is known ends it.
  EXPECT_LT(reweighted_mean(events(0, 40), {1, 1, true}, kMany).interval.high, 0.1);
}

TEST(Reweighting, AHeavierTailIsWider) {
  Random random(1);
  const auto width = [&](double sigma) {
    std::vector<double> values;
    for (int j = 0; j < 60; ++j) values.push_back(std::exp(sigma * testing::normal(random)));
    const auto estimate = reweighted_mean(per_prompt(values), {}, kMany);
    return estimate.interval.high / estimate.value;
  };
  const double light = width(0.3);
  const double heavy = width(1.5);
  EXPECT_LT(light, 1.3);
  EXPECT_GT(heavy, 2);
}

TEST(Reweighting, HasNoIntervalWithoutPrompts) {
  EXPECT_EQ(reweighted_mean({}, {}, kMany).method, IntervalMethod::none);
  EXPECT_EQ(reweighted_mean(per_prompt({0.5}), {}, kMany).method, IntervalMethod::none);
  EXPECT_EQ(reweighted_mean(per_prompt({0.5, kInfinity}), {}, kMany).value, kInfinity);
  EXPECT_EQ(reweighted_mean(per_prompt({0, 0, 0}), {}, kMany).method,
            IntervalMethod::none);  // nothing bounds it
  Clustered without = per_prompt({1, 2, 3});
  without.rows[1] = 0;
  EXPECT_EQ(reweighted_mean(without, {4, 1}, kMany).prompts, 2);
}

// Equal bits in every draw: what is shared by both sides cancels.
TEST(Reweighting, PairsShareTheirPrompts) {
  Random random(2);
  std::vector<double> values;
  for (int j = 0; j < 60; ++j) values.push_back(std::exp(testing::normal(random)));
  const auto quotient = [](double a, double b) { return a / b; };
  const auto same = reweighted_pair(per_prompt(values), {}, per_prompt(values), quotient, {1, 2000, 0.95});
  EXPECT_EQ(same.value, 1);
  EXPECT_LE(same.interval.low, 1);
  EXPECT_GT(same.interval.low, 0.5);
  EXPECT_GE(same.interval.high, 1);
}

TEST(Power, IsTheLimitsOwn) {
  // None of 30 change: 3.7 / n at 95%.
  EXPECT_EQ(trials_to_decide(0, 0.05, 0.95), trials_to_show(0.05, 0.95));
  EXPECT_LE(proportion(2, 200, 0.95).interval.high, 0.05);
  const auto needed = trials_to_decide(0.01, 0.05, 0.95);
  ASSERT_TRUE(needed);
  EXPECT_LE(exact_interval(0.01 * static_cast<double>(*needed), static_cast<double>(*needed), 0.95).high,
            0.05);
  EXPECT_GT(
      exact_interval(0.01 * static_cast<double>(*needed - 1), static_cast<double>(*needed - 1), 0.95).high,
      0.05);
  EXPECT_FALSE(trials_to_decide(0.05, 0.05, 0.95));

  // So many prompts like these, and the limit is decided.
  const auto few = events(1, 30);
  const auto prompts = prompts_to_decide(few, {1, 1, true}, 0.08, kMany);
  ASSERT_TRUE(prompts);
  EXPECT_NEAR(static_cast<double>(*prompts), static_cast<double>(*trials_to_decide(1.0 / 30, 0.08, 0.95)),
              0.12 * static_cast<double>(*prompts));
  EXPECT_FALSE(prompts_to_decide(events(0, 30), {}, 0.08, kMany));  // nothing is known of the tail
}

TEST(FlipRegret, OfFewFlipsIsAsLargeAsAFlipCouldBe) {
  const auto run = [](int flips, double largest) {
    const auto m = testing::measurement("tp2", 60, 4, [&](int prompt, int row) {
      auto step = testing::differing_step(row, 1e-4);
      step.max_abs = largest;
      if (row == 2 && prompt < flips) testing::flip(step, 0.05);
      return step;
    });
    return statistics_of(m, {1, 2000, 0.95});
  };
  EXPECT_TRUE(std::isnan(run(0, 0.5).flip_regret.value));
  const auto four = run(4, 0.5).flip_regret;
  EXPECT_NEAR(four.value, 0.05, 1e-15);
  EXPECT_GT(four.interval.high, 0.4);  // a flip may cost 1 here: twice the largest difference
  EXPECT_LT(run(40, 0.5).flip_regret.interval.high, 0.06);
  EXPECT_LE(run(4, 0.03).flip_regret.interval.high, 0.06);  // none could cost more
}

}  // namespace
}  // namespace shardrift::statistics
