// Noise floor, truth, yardstick, spread.
#include "analysis/statistics/beside.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/statistics/run_statistics.hpp"
#include "tests/unit/statistics/synthetic.hpp"

#include <gtest/gtest.h>

namespace shardrift::statistics {
namespace {

using analysis::Measurement;
using analysis::Step;
using testing::differing_step;
using testing::equal_measurement;
using testing::equal_step;
using testing::measurement;

const BootstrapOptions kOptions{1, 400, 0.95};

Measurement of_kl(const std::string& name, double kl, int prompts = 20) {
  return measurement(name, prompts, 8,
                     [&](int prompt, int row) { return differing_step(row, kl * (1 + 0.1 * (prompt % 5))); });
}

TEST(NoiseFloor, ZeroBitsIsOnlySaidWhereAllWasCompared) {
  const Measurement same = equal_measurement("again", 5, 8);
  const auto floor = noise_floor({&same});
  EXPECT_TRUE(floor.zero_bits);
  EXPECT_EQ(floor.rows, 40);
  EXPECT_EQ(floor.prompts, 5);
  Measurement shorter = same;
  shorter.prompts[2].bit_equal = false;  // equal as far as it goes
  EXPECT_FALSE(noise_floor({&shorter}).zero_bits);
  EXPECT_FALSE(noise_floor({&same, &shorter}).zero_bits);
  EXPECT_FALSE(noise_floor({}).zero_bits);
  const Measurement nothing;
  EXPECT_FALSE(noise_floor({&nothing}).zero_bits);
  const Measurement noisy = of_kl("again", 1e-6);
  EXPECT_EQ(noise_floor({&noisy}).rows_differ, 160);
}

// KL is quadratic in the change, so floors subtract; RMS is linear, so their squares do.
TEST(NoiseFloor, IsTakenOffByEachMetricsRule) {
  const Measurement candidate = of_kl("tp2", 5e-4);
  const Measurement repeat = of_kl("again", 3e-4);
  const auto kl = above_floor(candidate, {&repeat}, metric("kl"), kOptions);
  EXPECT_NEAR(kl.excess.value, kl.candidate.value - kl.floor.value, 1e-15);
  EXPECT_NEAR(kl.excess.value, 2e-4 * 1.2, 1e-12);
  const auto rms = above_floor(candidate, {&repeat}, metric("rms"), kOptions);
  EXPECT_NEAR(rms.excess.value, std::sqrt(2e-4 * 1.2), 1e-12);  // differing_step: rms^2 = kl
  EXPECT_LE(rms.excess.interval.low, rms.excess.value);
  const auto max = above_floor(candidate, {&repeat}, metric("max_abs"), kOptions);
  EXPECT_EQ(max.excess.value, max.candidate.value);
  EXPECT_EQ(max.rule, FloorRule::beside);
  // Nothing is left where the floor is as high.
  EXPECT_EQ(above_floor(repeat, {&candidate}, metric("kl"), kOptions).excess.value, 0);
  // Two repeats: their mean.
  const Measurement quiet = of_kl("again2", 1e-4);
  EXPECT_NEAR(above_floor(candidate, {&repeat, &quiet}, metric("kl"), kOptions).floor.value, 2e-4 * 1.2,
              1e-12);
}

TEST(NoiseFloor, QuadratureHoldsForIndependentNoise) {
  // x + a and x + a + b differ from x by sqrt(a^2) and sqrt(a^2 + b^2): what is left is b.
  Random random(4);
  double with_both = 0;
  double noise = 0;
  double effect = 0;
  for (int i = 0; i < 20000; ++i) {
    const double a = 0.6 * testing::normal(random);
    const double b = 0.8 * testing::normal(random);
    with_both += (a + b) * (a + b);
    noise += a * a;
    effect += b * b;
  }
  EXPECT_NEAR(above_floor(std::sqrt(with_both / 20000), std::sqrt(noise / 20000), FloorRule::quadrature),
              std::sqrt(effect / 20000), 0.01);
}

TEST(Ratio, OfRowsThatBothHave) {
  const Measurement candidate = of_kl("tp2", 1e-4);
  const Measurement yardstick = of_kl("int8", 2e-3);
  const auto kl = ratio_on_common_rows(candidate, yardstick, metric("kl"), kOptions);
  EXPECT_NEAR(kl.ratio.value, 0.05, 1e-12);
  EXPECT_EQ(kl.rows, 160);
  EXPECT_NEAR(ratio_on_common_rows(candidate, yardstick, metric("rms"), kOptions).ratio.value,
              std::sqrt(0.05), 1e-12);
  // Rows of one side only count for nothing, however large.
  Measurement longer = yardstick;
  longer.prompts[3].steps.push_back(differing_step(99, 1000));
  longer.prompts.push_back(yardstick.prompts[0]);
  longer.prompts.back().id = "other";
  Measurement shorter = candidate;
  shorter.prompts[4].steps.erase(shorter.prompts[4].steps.begin(), shorter.prompts[4].steps.begin() + 3);
  const auto common = ratio_on_common_rows(shorter, longer, metric("kl"), kOptions);
  EXPECT_EQ(common.rows, 157);
  EXPECT_NEAR(common.ratio.value, 0.05, 1e-12);
}

TEST(Ratio, WithoutAValue) {
  const Measurement zero = equal_measurement("pp2", 20, 8);
  const Measurement some = of_kl("int8", 1e-3);
  EXPECT_EQ(ratio_on_common_rows(zero, some, metric("kl"), kOptions).ratio.value, 0);
  EXPECT_TRUE(std::isnan(ratio_on_common_rows(zero, zero, metric("kl"), kOptions).ratio.value));
  EXPECT_TRUE(std::isinf(ratio_on_common_rows(some, zero, metric("kl"), kOptions).ratio.value));
  EXPECT_TRUE(std::isnan(ratio_on_common_rows(some, Measurement(), metric("kl"), kOptions).ratio.value));
}

// The interval of a ratio holds the true ratio at least as often as it says, with prompts that differ
// tenfold, and still says something. (What holds for long tails is wide for short ones:
// docs/results/coverage.md.)
TEST(Ratio, IntervalCovers) {
  Random random(9);
  int covered = 0;
  std::vector<double> highs;
  constexpr int kTrials = 200;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> scale;
    for (int j = 0; j < 40; ++j) scale.push_back(std::exp(0.8 * testing::normal(random)));
    const auto make = [&](double factor) {
      return measurement("x", 40, 6, [&](int prompt, int row) {
        return differing_step(
            row, factor * scale[static_cast<std::size_t>(prompt)] * std::exp(0.5 * testing::normal(random)));
      });
    };
    const auto ratio = ratio_on_common_rows(make(3e-5), make(1e-3), metric("kl"), {1, 300, 0.95}).ratio;
    highs.push_back(ratio.interval.high);
    covered += ratio.interval.low <= 0.03 && 0.03 <= ratio.interval.high ? 1 : 0;
  }
  EXPECT_GE(covered, 0.95 * kTrials);
  std::nth_element(highs.begin(), highs.begin() + kTrials / 2, highs.end());
  EXPECT_LT(highs[kTrials / 2], 0.15);
}

TEST(Spread, IsLayerCastsDefinition) {
  // Two runs beside the reference; prompt 0 diverges at row 2 in one and row 4 in the other, prompt 1 never.
  const auto run = [&](const std::string& name, int flips_at, double p) {
    return measurement(name, 2, 6, [=](int prompt, int row) {
      Step step = differing_step(row, 1e-3);
      step.p_reference = 0.5;
      step.p_own = p;
      if (prompt == 0 && row == flips_at) testing::flip(step, 0.1);
      return step;
    });
  };
  const Measurement a = run("a", 2, 0.53);
  const Measurement b = run("b", 4, 0.5);
  const auto spread = spread_of({&a, &b}, kOptions);
  EXPECT_EQ(spread.runs, 3);
  EXPECT_EQ(spread.prompts, 2);
  EXPECT_EQ(spread.diverged, 1);
  EXPECT_EQ(spread.divergence_index.value, 2);
  EXPECT_NEAR(spread.top1_spread.value, std::sqrt(2.0 / 9) * 0.03, 1e-12);  // of 0.5, 0.53, 0.5
  EXPECT_EQ(spread_of({}, kOptions).runs, 0);
}

TEST(RunStatistics, CountsFlipsApartFromTies) {
  const Measurement m = measurement("tp2", 30, 10, [](int prompt, int row) {
    Step step = differing_step(row, 1e-3 * (prompt + 1));
    if (row == 7 && prompt < 6) testing::flip(step, 0.05 * prompt);
    if (row == 7 && prompt < 2) step.ties_reference = 2;
    if (row == 1 && prompt == 9) step.ties_candidate = 3;
    return step;
  });
  const auto s = statistics_of(m, kOptions);
  EXPECT_EQ(s.prompts, 30);
  EXPECT_EQ(s.prompts_differ, 30);
  EXPECT_EQ(s.rows, 24 * 10 + 6 * 8);
  EXPECT_EQ(s.clear_flips, 4);
  EXPECT_EQ(s.flips(), 6);
  EXPECT_EQ(s.flips_at_ties, 2);
  EXPECT_EQ(s.ties, 3);
  EXPECT_NEAR(s.flip_share.value, 6.0 / 288, 1e-15);
  EXPECT_NEAR(s.clear_flip_share.value, 4.0 / 288, 1e-15);
  EXPECT_NEAR(s.flip_regret.value, 0.125, 1e-15);  // of all six
  EXPECT_EQ(s.survival.changed, 6);
  EXPECT_EQ(s.survival.after(10)->share, 0.8);
  const auto* kl = s.of("kl");
  ASSERT_NE(kl, nullptr);
  EXPECT_EQ(kl->rows, 288);
  EXPECT_NEAR(kl->max, 0.03, 1e-15);
  EXPECT_LT(kl->average.interval.low, kl->average.value);
  EXPECT_GT(kl->average.interval.high, kl->average.value);
  EXPECT_LE(kl->p50.value, kl->p90.value);
  EXPECT_EQ(s.of("nonsense"), nullptr);
}

TEST(RunStatistics, WithoutLogitsOrRows) {
  Measurement m = measurement("tp2", 4, 3, [](int, int row) {
    Step step;
    step.step = row;
    return step;
  });
  const auto s = statistics_of(m, kOptions);
  EXPECT_EQ(s.rows, 12);
  EXPECT_EQ(s.rows_measured, 0);
  EXPECT_EQ(s.of("kl"), nullptr);
  EXPECT_EQ(s.flip_share.value, 0);
  EXPECT_EQ(s.survival.prompts, 4);
  const auto empty = statistics_of(Measurement(), kOptions);
  EXPECT_EQ(empty.rows, 0);
  EXPECT_TRUE(std::isnan(empty.flip_share.value));
}

}  // namespace
}  // namespace shardrift::statistics
