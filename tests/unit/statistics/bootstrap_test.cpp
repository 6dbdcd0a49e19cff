#include "analysis/statistics/bootstrap.hpp"

#include <cmath>

#include "analysis/statistics/percentiles.hpp"
#include "analysis/statistics/proportion.hpp"
#include "analysis/statistics/random.hpp"
#include "tests/unit/statistics/references.hpp"

namespace shardrift::statistics {
namespace {

using testing::counts;
using testing::expect_near;
using testing::references;
using testing::Rows;
using testing::sums;

TEST(Random, DrawsAreTheDefinitionsOwn) {
  const auto& c = references().at("random");
  Random random(c.at("seed"));
  for (const std::uint64_t index : c.at("indices"))
    EXPECT_EQ(random.below(c.at("count").get<std::uint64_t>()), index);
}

TEST(Random, EveryIndexIsAsLikely) {
  Random random(3);
  std::vector<int> seen(7);
  for (int i = 0; i < 70000; ++i) ++seen[random.below(7)];
  for (const int times : seen) EXPECT_NEAR(times, 10000, 400);  // 4 standard deviations: 370
  EXPECT_EQ(random.below(1), 0U);
}

// The same draws, percentiles and corrections as NumPy and SciPy's normal distribution give.
TEST(Bootstrap, IntervalsAreTheReferences) {
  for (const auto& c : references().at("bootstrap")) {
    const Rows rows = c.at("rows");
    BootstrapOptions options{c.at("seed"), c.at("resamples"), 0.95};
    std::vector<double> left_out;
    for (const double confidence : {0.95, 0.8}) {
      options.confidence = confidence;
      const Estimate bca = bootstrap_ratio(sums(rows), counts(rows), options);
      EXPECT_NEAR(bca.value, c.at("estimate").get<double>(), 1e-14);
      EXPECT_EQ(bca.method, IntervalMethod::bca);
      EXPECT_EQ(bca.prompts, static_cast<std::int64_t>(rows.size()));
      const std::string name = confidence == 0.95 ? "0.95" : "0.8";
      expect_near(c.at("bca_" + name), bca.interval.low, bca.interval.high, 1e-12);

      const auto ratio = [&](const Drawn& drawn) {
        double above = 0;
        double below = 0;
        for (std::size_t j = 0; j < rows.size(); ++j) {
          above += drawn[j] * sums(rows)[j];
          below += drawn[j] * counts(rows)[j];
        }
        return above / below;
      };
      const auto plain =
          bootstrap(static_cast<std::int64_t>(rows.size()), ratio, IntervalMethod::percentile, options);
      expect_near(c.at("percentile_" + name), plain.interval.low, plain.interval.high, 1e-12);
    }
  }
}

// SciPy's own bootstrap draws otherwise: near, by its and our sampling error.
TEST(Bootstrap, AgreesWithScipysOwn) {
  for (const auto& c : references().at("bootstrap")) {
    const Rows rows = c.at("rows");
    const Estimate bca = bootstrap_ratio(sums(rows), counts(rows), {1, 40000, 0.95});
    const std::vector<double> expected = c.at("scipy_bca");
    expect_near(expected, bca.interval.low, bca.interval.high, 0.03 * (expected[1] - expected[0]));
  }
}

TEST(Bootstrap, PercentilesOfRows) {
  for (const auto& c : references().at("bootstrap")) {
    const ClusteredValues values(c.at("rows").get<Rows>());
    const auto p90 = bootstrap(static_cast<std::int64_t>(c.at("rows").size()),
                               [&](const Drawn& drawn) { return values.percentile(0.9, drawn); },
                               IntervalMethod::percentile, {c.at("seed"), c.at("resamples"), 0.95});
    EXPECT_NEAR(p90.value, c.at("p90").get<double>(), 1e-13);
    expect_near(c.at("p90_interval"), p90.interval.low, p90.interval.high, 1e-12);
  }
}

// What an interval is for: over many samples it holds the true value as often as it says. The rows of a
// prompt are alike, so resampling rows would claim far too much: the control.
TEST(Bootstrap, CoversTheTrueMeanAsOftenAsItSays) {
  Random random(11);
  const auto uniform = [&] { return (static_cast<double>(random.below(1U << 30U)) + 0.5) / (1U << 30U); };
  constexpr int kTrials = 400;
  int covered = 0;
  int covered_by_rows = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> sum(40);
    std::vector<double> count(40);
    std::vector<double> rows;
    for (std::size_t j = 0; j < sum.size(); ++j) {
      const double of_prompt = -std::log(uniform());  // exponential, mean 1
      count[j] = 20;
      for (int i = 0; i < 20; ++i) {
        rows.push_back(of_prompt * 2 * uniform());  // mean 1
        sum[j] += rows.back();
      }
    }
    const BootstrapOptions options{static_cast<std::uint64_t>(trial), 500, 0.95};
    const auto by_prompt = bootstrap_ratio(sum, count, options);
    covered += by_prompt.interval.low <= 1 && 1 <= by_prompt.interval.high ? 1 : 0;
    const auto by_row = bootstrap_ratio(rows, std::vector<double>(rows.size(), 1), {options.seed, 100, 0.95});
    covered_by_rows += by_row.interval.low <= 1 && 1 <= by_row.interval.high ? 1 : 0;
  }
  EXPECT_GE(covered, 0.90 * kTrials);
  EXPECT_LE(covered, 0.98 * kTrials);
  EXPECT_LT(covered_by_rows, 0.75 * kTrials);
}

TEST(Bootstrap, SaysWhereItHasNoInterval) {
  const BootstrapOptions options;
  EXPECT_TRUE(std::isnan(bootstrap_ratio({}, {}, options).value));
  const auto one = bootstrap_ratio({3}, {2}, options);
  EXPECT_EQ(one.value, 1.5);
  EXPECT_EQ(one.method, IntervalMethod::none);
  EXPECT_TRUE(std::isnan(one.interval.low));
  // All alike: BCa has no value, the percentile method has.
  const auto same = bootstrap_ratio({2, 2, 2}, {1, 1, 1}, options);
  EXPECT_EQ(same.method, IntervalMethod::percentile);
  EXPECT_EQ(same.interval.low, 2);
  EXPECT_EQ(same.interval.high, 2);
  // A third of all resamples lack a denominator.
  EXPECT_EQ(bootstrap_ratio({1, 2, 3}, {1, 0, 0}, options).method, IntervalMethod::none);
  // An infinite mean has no interval either.
  EXPECT_EQ(bootstrap_ratio({1, INFINITY, 3}, {1, 1, 1}, options).method, IntervalMethod::none);
}

TEST(Bootstrap, CurveIsSeveralStatisticsOfTheSameResamples) {
  const std::vector<double> a{1, 2, 4, 8};
  const BootstrapOptions options{5, 300, 0.9};
  const auto mean = [&](const Drawn& drawn, double scale) {
    double sum = 0;
    for (std::size_t j = 0; j < a.size(); ++j) sum += scale * a[j] * drawn[j];
    return sum / 4;
  };
  const auto curve = bootstrap_curve(
      4, 2,
      [&](const Drawn& drawn, std::vector<double>& values) {
        values = {mean(drawn, 1), mean(drawn, 2)};
      },
      options);
  const auto alone = bootstrap(
      4, [&](const Drawn& d) { return mean(d, 1); }, IntervalMethod::percentile, options);
  EXPECT_EQ(curve[0].interval.low, alone.interval.low);
  EXPECT_EQ(curve[0].interval.high, alone.interval.high);
  EXPECT_EQ(curve[1].interval.high, 2 * alone.interval.high);
}

TEST(Proportion, IsScipysExactInterval) {
  for (const auto& c : references().at("proportion")) {
    const auto share = proportion(c.at("events"), c.at("count"), c.at("confidence"));
    expect_near(c.at("interval"), share.interval.low, share.interval.high, 1e-12);
  }
  EXPECT_TRUE(std::isnan(proportion(0, 0, 0.95).value));
}

TEST(Proportion, WhatARunCouldHaveMissed) {
  EXPECT_EQ(detectable_share(100, 0.95), proportion(0, 100, 0.95).interval.high);
  EXPECT_NEAR(std::pow(1 - detectable_share(17, 0.9), 17), 0.05, 1e-12);
  EXPECT_EQ(detectable_share(0, 0.95), 1);
  const auto needed = trials_to_show(0.01, 0.95);
  EXPECT_EQ(needed, 368);
  EXPECT_LE(proportion(0, needed, 0.95).interval.high, 0.01);
  EXPECT_GT(proportion(0, needed - 1, 0.95).interval.high, 0.01);
  EXPECT_EQ(trials_to_show(0, 0.95), 0);
}

}  // namespace
}  // namespace shardrift::statistics
