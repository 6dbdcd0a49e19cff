// The flip law where the law is known, and its calibration and forecast where the truth is known.
#include "analysis/statistics/flip_law.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "analysis/statistics/flip_forecast.hpp"
#include "analysis/statistics/proportion.hpp"
#include "analysis/statistics/survival.hpp"
#include "tests/unit/statistics/references.hpp"
#include "tests/unit/statistics/synthetic.hpp"

namespace shardrift::statistics {
namespace {

using analysis::Measurement;
using analysis::Step;
using testing::normal;
using testing::uniform;

// Rows of a model with exponential margins whose top-two difference moves by `scale` x a draw of the shape.
struct World {
  double scale = 0.1;
  LawShape shape = LawShape::normal;
  double mean_margin = 3;
  double lattice = 0;        // logits are multiples of it: 0.125 is bfloat16 near 20
  double prompt_sd = 0;      // prompts differ: their margins by exp(sd x normal)
  double surer = 0;          // margins of token n grow as n^surer: flips fall as n^-surer
  bool rows_differ = false;  // ε differs from row to row, and rms tells

  double draw(Random& random) const {
    switch (shape) {
      case LawShape::normal:
        return normal(random);
      case LawShape::logistic: {
        const double u = uniform(random);
        return std::log(u / (1 - u));
      }
      case LawShape::student_t4: {
        double squares = 0;
        for (int i = 0; i < 4; ++i) squares += std::pow(normal(random), 2);
        return normal(random) / std::sqrt(squares / 4);
      }
    }
    return 0;
  }
  double rounded(double value) const { return lattice == 0 ? value : lattice * std::round(value / lattice); }

  Step step(Random& random, std::int64_t row, double factor) const {
    Step step = testing::differing_step(row, 1e-3);
    const double local = rows_differ ? std::exp(normal(random) * 0.8) : 1;
    step.rms = 0.05 * local;
    // Two logits of the reference and what becomes of them; rounding as the model's dtype does.
    const double top = 18 + uniform(random);
    const double second = top + std::log(uniform(random)) * mean_margin * factor *
                                    std::pow(static_cast<double>(row) + 1, surer);
    const double x[2] = {rounded(top), rounded(second)};
    const double y[2] = {rounded(top + scale * local * draw(random)), rounded(second)};
    // Which of two equal ones has the lower id is a coin.
    const bool first_is_lower = random.below(2) == 0;
    const auto choice = [&](const double* of) { return of[0] != of[1] ? of[0] < of[1] : !first_is_lower; };
    const bool reference = choice(x);
    const bool candidate = choice(y);
    step.chosen_reference = reference ? 1 : 0;
    step.chosen_candidate = candidate ? 1 : 0;
    step.margin_reference = std::fabs(x[0] - x[1]);
    step.margin_candidate = std::fabs(y[0] - y[1]);
    step.ties_reference = x[0] == x[1] ? 2 : 1;
    step.ties_candidate = y[0] == y[1] ? 2 : 1;
    return step;
  }
  Measurement measure(std::uint64_t seed, int prompts, int rows, const std::string& mode = "greedy") const {
    Random random(seed);
    std::vector<double> factor;
    for (int j = 0; j < prompts; ++j) factor.push_back(std::exp(prompt_sd * normal(random)));
    Measurement result;
    result.reference = testing::summary("one", 1, 10);
    result.candidate = testing::summary("tp2", 2, 8);
    result.candidate.run.mode = mode;
    for (int j = 0; j < prompts; ++j) {
      auto& prompt = result.prompts.emplace_back();
      prompt.id = "p" + std::to_string(j);
      prompt.reference_steps = prompt.candidate_steps = rows;
      prompt.reference_stop = "length";
      for (int i = 0; i < rows && (mode == "follow" || !prompt.first_flip); ++i) {
        prompt.steps.push_back(step(random, i, factor[static_cast<std::size_t>(j)]));
        if (prompt.steps.back().flipped() && !prompt.first_flip)
          prompt.first_flip = static_cast<std::size_t>(i);
      }
    }
    return result;
  }
};

FlipLaw fitted(const Measurement& m) {
  const auto law = FlipLawFitter(margin_rows(m)).fit(Drawn(m.prompts.size(), 1));
  EXPECT_TRUE(law.has_value());
  return law.value_or(FlipLaw());
}

TEST(FlipLaw, TailsAreTheLaws) {
  const auto& cases = testing::references().at("tail");
  for (const auto& c : cases) {
    const double x = c.at("x");
    EXPECT_NEAR(tail(LawShape::normal, x) / c.at("normal").get<double>(), 1, 1e-12) << x;
    EXPECT_NEAR(tail(LawShape::logistic, x) / c.at("logistic").get<double>(), 1, 1e-12) << x;
    EXPECT_NEAR(tail(LawShape::student_t4, x) / c.at("t4").get<double>(), 1, 1e-12) << x;
  }
}

TEST(FlipLaw, FindsTheScaleOfEveryShape) {
  for (const auto shape : {LawShape::normal, LawShape::logistic, LawShape::student_t4}) {
    World world;
    world.shape = shape;
    world.mean_margin = 0.5;  // many flips
    const FlipLaw law = fitted(world.measure(1, 200, 100, "follow"));
    for (const double margin : {0.05, 0.1, 0.2, 0.3}) {
      const double truth = tail(shape, margin / world.scale);
      EXPECT_NEAR(law.probability(margin, 0.05), truth, 0.04 * truth + 0.002)
          << name_of(shape) << " " << margin;
    }
    if (shape == LawShape::student_t4) {
      EXPECT_EQ(law.shape, shape);  // the others are hard to tell apart
    }
  }
}

// Rows whose own RMS tells how far they move.
TEST(FlipLaw, UsesARowsOwnSizeWhereItTells) {
  World world;
  world.rows_differ = true;
  world.mean_margin = 0.5;
  const FlipLaw law = fitted(world.measure(2, 200, 100, "follow"));
  EXPECT_EQ(law.own, 1);
  EXPECT_EQ(law.shape, LawShape::normal);
  for (const double rms : {0.02, 0.05, 0.15})
    EXPECT_NEAR(law.probability(0.1, rms), tail(LawShape::normal, 0.05 / rms), 0.01) << rms;
}

TEST(FlipLaw, NeedsNoFlipToHaveHappened) {
  World world;
  world.scale = 1e-5;  // float32
  world.mean_margin = 3;
  const Measurement m = world.measure(3, 100, 50);
  const FlipLaw law = fitted(m);
  EXPECT_EQ(law.flips, 0);
  EXPECT_NEAR(law.probability(1e-5, 0.05), tail(LawShape::normal, 1), 0.03);
  EXPECT_LT(law.probability(1e-3, 0.05), 1e-6);
}

// bfloat16 logits: most rows do not move, ties are common. The counted flips are those expected.
TEST(FlipLaw, HoldsOnALattice) {
  World world;
  world.lattice = 0.125;
  world.mean_margin = 1;
  world.scale = 0.08;
  const Measurement m = world.measure(4, 400, 60, "follow");
  const auto rows = margin_rows(m);
  const FlipLaw law = fitted(m);
  EXPECT_GT(law.ties, 500);
  EXPECT_GT(std::count_if(rows.begin(), rows.end(), [](const MarginRow& r) { return r.moved == 0; }),
            static_cast<std::int64_t>(rows.size()) / 3);
  double expected = 0;
  for (const auto& row : rows)
    if (!row.tied) expected += law.probability(row);
  EXPECT_NEAR(expected / static_cast<double>(law.flips), 1, 0.12);  // 500 flips: 4.5 % is one standard error
  EXPECT_NEAR(law.tie_flips, static_cast<double>(law.flips_at_ties) / static_cast<double>(law.ties), 1e-3);
}

TEST(FlipLaw, NothingMovedOrNothingThere) {
  const Measurement equal = testing::equal_measurement("pp2", 12, 10);
  const FlipLaw law = fitted(equal);
  EXPECT_EQ(law.probability(0.001, 0), 0);
  const auto prediction = predict_flips(equal, 100, {});
  ASSERT_TRUE(prediction && prediction->forecast);
  EXPECT_EQ(prediction->forecast->points.back().identical.value, 1);
  EXPECT_EQ(prediction->law.formula(), "P(flip | margin) = 0: no row moved");
  EXPECT_FALSE(predict_flips(Measurement(), 100, {}).has_value());
  const Measurement without = testing::measurement("tp2", 3, 4, [](int, int row) {
    Step step;
    step.step = row;
    return step;
  });
  EXPECT_FALSE(predict_flips(without, 100, {}).has_value());
}

TEST(FlipLaw, CountsByMargin) {
  World world;
  world.mean_margin = 0.5;
  const Measurement m = world.measure(5, 100, 60, "follow");
  const auto bins = flips_by_margin(margin_rows(m), 0.95);
  ASSERT_GE(bins.size(), 4U);
  const FlipLaw law = fitted(m);
  std::int64_t flips = 0;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    flips += bins[i].flips;
    EXPECT_EQ(bins[i].low, i == 0 ? 0 : bins[i - 1].high);
    EXPECT_GE(bins[i].mean_margin, bins[i].low);
    EXPECT_LE(bins[i].mean_margin, bins[i].high);
  }
  EXPECT_EQ(flips, law.flips);  // all are in a bin
}

TEST(Calibration, OfTheRightLaw) {
  World world;
  world.mean_margin = 1;
  const Measurement m = world.measure(6, 200, 60, "follow");
  const auto c = calibrate(margin_rows(m), m.prompts.size(), 0.999);
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->prompts, 200);
  EXPECT_NEAR(c->expected / static_cast<double>(c->flips), 1, 0.15);
  EXPECT_LT(c->log_loss, 0.6 * c->log_loss_base);
  EXPECT_LT(c->brier, c->brier_base);
  std::int64_t rows = 0;
  for (const auto& bin : c->bins) {
    rows += bin.rows;
    EXPECT_LE(bin.interval.low, bin.predicted) << bin.low;
    EXPECT_GE(bin.interval.high, bin.predicted) << bin.low;
  }
  EXPECT_EQ(rows, c->rows);
}

// Movement that depends on the margin breaks what the law assumes; the bins show it. (The control: a
// calibration that always looks right would be worth nothing.)
TEST(Calibration, ShowsAWrongLaw) {
  Measurement m = World{.scale = 0.1, .mean_margin = 1}.measure(7, 200, 60, "follow");
  Random random(1);
  for (auto& prompt : m.prompts)
    for (auto& step : prompt.steps)
      if (step.margin_reference < 0.2) {  // near rows do not move in truth
        step.chosen_candidate = step.chosen_reference;
        step.margin_candidate = step.margin_reference;
        if (random.below(2) == 0) {  // but half of them flip, whatever the margin
          step.chosen_candidate = 1 - step.chosen_reference;
          step.margin_candidate = 1e-6;
        }
      }
  const auto c = calibrate(margin_rows(m), m.prompts.size(), 0.999);
  ASSERT_TRUE(c.has_value());
  int outside = 0;
  for (const auto& bin : c->bins)
    outside += bin.predicted < bin.interval.low || bin.predicted > bin.interval.high ? 1 : 0;
  EXPECT_GE(outside, 2);
}

TEST(Calibration, NeedsTenPrompts) {
  const Measurement m = World().measure(8, 9, 60);
  EXPECT_FALSE(calibrate(margin_rows(m), m.prompts.size(), 0.95).has_value());
}

const ForecastPoint& at(const Forecast& forecast, std::int64_t tokens) {
  const auto place = std::find_if(forecast.points.begin(), forecast.points.end(),
                                  [&](const ForecastPoint& p) { return p.tokens == tokens; });
  EXPECT_NE(place, forecast.points.end()) << tokens;
  return *place;
}

// Seen: 64 tokens. Asked: 64, and 256 of other prompts of the same world.
void expect_forecast(const World& world, bool constant_pace) {
  const Measurement seen = world.measure(9, 100, 64);
  const Measurement truth = world.measure(10, 1500, 256);
  const Survival curve = survival(lifetimes(truth), 0.95);
  const auto prediction = predict_flips(seen, 256, {3, 200, 0.95});
  ASSERT_TRUE(prediction && prediction->forecast);
  const auto& forecast = *prediction->forecast;
  EXPECT_EQ(forecast.longest, 64);
  for (const std::int64_t tokens : {16, 64, 256}) {
    const auto& point = at(forecast, tokens);
    const double share = curve.after(tokens)->share;
    if (tokens <= 64 || !constant_pace) {
      EXPECT_NEAR(point.identical.value, share, 0.05) << tokens;
    }
    EXPECT_LE(point.identical.interval.low, share + 0.015) << tokens;
    EXPECT_GE(point.identical.interval.high, share - 0.015) << tokens;
    EXPECT_EQ(point.extrapolated, tokens > 64);
  }
  // Smoother than counting: the interval is narrower than the survival curve's of the same prompts.
  const auto counted = survival(lifetimes(seen), 0.95).after(64)->interval;
  const auto predicted = at(forecast, 64).identical.interval;
  EXPECT_LT(predicted.high - predicted.low, counted.high - counted.low);
  // Beyond what was seen the model's own error is in it: wider than at the length that was seen.
  const auto beyond = at(forecast, 256).identical.interval;
  EXPECT_GT(beyond.high - beyond.low, 1.5 * (predicted.high - predicted.low));
}

TEST(Forecast, MeetsTheCurveOfOtherPromptsAndOfLongerTexts) {
  expect_forecast({.mean_margin = 1, .prompt_sd = 0.5, .surer = 0.9}, false);
}

// A pace that does not fall is not what real texts have: the forecast says too little, its interval knows.
TEST(Forecast, IntervalHoldsAConstantPaceToo) {
  expect_forecast({.mean_margin = 4, .prompt_sd = 0.5}, true);
}

TEST(Forecast, OfFewPromptsIsMarkedAndNotSurerThanCoins) {
  const Measurement m = World{.mean_margin = 4}.measure(14, 12, 64);
  const auto forecast = predict_flips(m, 64, {3, 100, 0.95})->forecast;
  const auto& point = at(*forecast, 64);
  EXPECT_TRUE(point.extrapolated);
  const auto coins = exact_interval(12 * point.identical.value, 12, 0.95);
  EXPECT_LE(point.identical.interval.low, coins.low);
  EXPECT_GE(point.identical.interval.high, coins.high);
}

// The same texts, followed past their flips, say the same.
TEST(Forecast, FollowAgreesWithGreedy) {
  World world;
  world.mean_margin = 2;
  world.prompt_sd = 0.5;
  const auto predicted = [&](const std::string& mode) {
    const Measurement m = world.measure(11, 400, 64, mode);
    return predict_flips(m, 64, {3, 100, 0.95})->forecast->points.back().identical.value;
  };
  EXPECT_NEAR(predicted("follow"), predicted("greedy"), 0.03);
}

TEST(Forecast, TextsThatEndedDoNotChangeLater) {
  Measurement m = World{.mean_margin = 4}.measure(12, 100, 64);
  for (auto& prompt : m.prompts) prompt.reference_stop = "eos";
  const auto forecast = predict_flips(m, 1000, {3, 100, 0.95})->forecast;
  EXPECT_EQ(at(*forecast, 1000).identical.value, at(*forecast, 64).identical.value);
  EXPECT_FALSE(at(*forecast, 1000).extrapolated);
}

TEST(Forecast, ScoreRunsHaveNone) {
  const Measurement m = World().measure(13, 20, 30, "score");
  const auto prediction = predict_flips(m, 100, {3, 100, 0.95});
  ASSERT_TRUE(prediction.has_value());
  EXPECT_FALSE(prediction->forecast.has_value());
}

}  // namespace
}  // namespace shardrift::statistics
