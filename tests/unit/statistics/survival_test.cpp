#include "analysis/statistics/survival.hpp"

#include <cmath>

#include "analysis/statistics/proportion.hpp"
#include "analysis/statistics/random.hpp"
#include "tests/unit/statistics/references.hpp"

namespace shardrift::statistics {
namespace {

using testing::references;

std::vector<Lifetime> lifetimes_of(const nlohmann::json& list) {
  std::vector<Lifetime> result;
  for (const auto& life : list) result.push_back({life.at(0), life.at(1) ? End::changed : End::cut});
  return result;
}

TEST(Survival, IsScipysKaplanMeier) {
  for (const auto& c : references().at("survival")) {
    const Survival curve = survival(lifetimes_of(c.at("lifetimes")), 0.95);
    const std::vector<std::int64_t> tokens = c.at("tokens");
    const std::vector<double> share = c.at("share");
    EXPECT_EQ(curve.after(0)->share, 1);
    for (std::size_t i = 0; i < tokens.size(); ++i)
      EXPECT_NEAR(curve.after(tokens[i])->share, share[i], 1e-14) << tokens[i];
  }
}

// Without censoring it is the exact interval of a share.
TEST(Survival, IntervalIsClopperPearsonWhereNothingIsCensored) {
  const Survival curve =
      survival({{2, End::changed}, {3, End::changed}, {3, End::changed}, {9}, {9}, {9}}, 0.9);
  for (const auto& [tokens, identical] :
       std::vector<std::pair<int, int>>{{1, 6}, {2, 5}, {3, 3}, {8, 3}, {9, 3}}) {
    const auto exact = proportion(identical, 6, 0.9);
    const auto point = *curve.after(tokens);
    EXPECT_NEAR(point.share, exact.value, 1e-14);
    EXPECT_NEAR(point.interval.low, exact.interval.low, 1e-9) << tokens;
    EXPECT_NEAR(point.interval.high, exact.interval.high, 1e-9) << tokens;
  }
  EXPECT_FALSE(curve.after(10).has_value());  // nothing is known there
  EXPECT_EQ(curve.median(), 3);
  EXPECT_EQ(curve.changed, 3);
}

// With censoring: the moments of the product are matched, so quantiles are near those simulated.
TEST(Survival, IntervalIsTheBetaProducts) {
  const auto& c = references().at("beta_product");
  const Survival curve = survival(lifetimes_of(c.at("lifetimes")), 0.95);
  for (const auto& point : c.at("points")) {
    const auto ours = *curve.after(point.at("tokens"));
    EXPECT_NEAR(ours.interval.low, point.at("low").get<double>(), 0.004) << point;
    EXPECT_NEAR(ours.interval.high, point.at("high").get<double>(), 0.004) << point;
  }
  // A token later those that ended speak no more: wider below.
  EXPECT_LT(curve.after(6)->interval.low, curve.after(5)->interval.low);
  EXPECT_EQ(curve.after(6)->share, curve.after(5)->share);
}

TEST(Survival, NothingDifferedYetIsNoCertainty) {
  const Survival curve = survival(std::vector<Lifetime>(20, {64, End::cut}), 0.95);
  EXPECT_EQ(curve.after(64)->share, 1);
  EXPECT_EQ(curve.after(64)->interval.high, 1);
  EXPECT_NEAR(curve.after(64)->interval.low, proportion(20, 20, 0.95).interval.low, 1e-12);
  EXPECT_FALSE(curve.median().has_value());
}

TEST(Survival, AllDifferAtOnceOrNothingIsThere) {
  const Survival curve = survival({{1, End::changed}, {1, End::changed}}, 0.95);
  EXPECT_EQ(curve.after(1)->share, 0);
  EXPECT_EQ(curve.after(1)->interval.low, 0);
  EXPECT_NEAR(curve.after(1)->interval.high, proportion(0, 2, 0.95).interval.high, 1e-12);
  const Survival empty = survival({}, 0.95);
  EXPECT_EQ(empty.prompts, 0);
  EXPECT_FALSE(empty.after(1).has_value());
}

// A constant hazard and random ends: the interval holds the truth as often as it says.
TEST(Survival, CoversTheTrueCurve) {
  Random random(2);
  constexpr double kHazard = 0.03;
  constexpr int kTrials = 1000;
  int covered = 0;
  int missed_low = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<Lifetime> lives;
    for (int j = 0; j < 30; ++j) {
      const auto end = static_cast<std::int64_t>(10 + random.below(40));
      Lifetime life{end, End::cut};
      for (std::int64_t n = 1; n <= end && life.end == End::cut; ++n)
        if (random.below(100) < 3) life = {n, End::changed};
      lives.push_back(life);
    }
    const auto point = survival(lives, 0.95).after(25);
    if (!point) continue;
    const double truth = std::pow(1 - kHazard, 25);
    covered += point->interval.low <= truth && truth <= point->interval.high ? 1 : 0;
    missed_low += truth > point->interval.high ? 1 : 0;
  }
  EXPECT_GE(covered, 0.94 * kTrials);  // conservative, as Clopper and Pearson's
  EXPECT_LE(covered, 0.99 * kTrials);
  EXPECT_LE(missed_low, 0.03 * kTrials);
}

// A text that ended identical cannot change later: two of four changed, whatever the lengths. Counting such
// texts as cut would say three of four.
TEST(Survival, TextsThatEndedStayIdentical) {
  const std::vector<Lifetime> lives{{5, End::changed}, {8, End::whole}, {9, End::whole}, {20, End::changed}};
  const Survival curve = survival(lives, 0.95);
  EXPECT_EQ(curve.after(20)->share, 0.5);
  EXPECT_EQ(curve.after(1000)->share, 0.5);  // nothing was cut
  EXPECT_EQ(curve.whole, 2);
  auto cut = lives;
  cut.push_back({30, End::cut});
  EXPECT_NEAR(survival(cut, 0.95).after(30)->share, 0.6, 1e-15);
  EXPECT_FALSE(survival(cut, 0.95).after(31).has_value());
  EXPECT_EQ(survival({{8, End::whole}}, 0.95).after(100)->share, 1);
}

TEST(Survival, CountsGeneratedTokens) {
  analysis::Measurement measurement;
  measurement.prompts.resize(5);
  measurement.prompts[0].steps.resize(5);
  measurement.prompts[0].first_flip = 4;  // the fifth token
  measurement.prompts[1].steps.resize(9);
  measurement.prompts[2].steps.resize(9);  // follow: rows go on after the flip
  measurement.prompts[2].first_flip = 0;
  measurement.prompts[3].steps.resize(7);
  measurement.prompts[3].reference_steps = 7;
  measurement.prompts[3].reference_stop = "eos";
  const auto lives = lifetimes(measurement);  // the last has no rows
  ASSERT_EQ(lives.size(), 4U);
  EXPECT_EQ(lives[3].end, End::whole);
  EXPECT_EQ(lives[0].tokens, 5);
  EXPECT_EQ(lives[0].end, End::changed);
  EXPECT_EQ(lives[1].tokens, 9);
  EXPECT_EQ(lives[1].end, End::cut);
  EXPECT_EQ(lives[2].tokens, 1);
  EXPECT_TRUE(generates(measurement));
  measurement.candidate.run.mode = "score";
  EXPECT_FALSE(generates(measurement));
}

}  // namespace
}  // namespace shardrift::statistics
