// The numbers of one step, against hand-computed values and textbook float64 formulas.
#include "analysis/measure/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis {
namespace {

using testing::words_of;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// chosen: the reference's token; the candidate's is its argmax.
Step compare(const std::vector<double>& reference, const std::vector<double>& candidate, int chosen = 0,
             DType reference_dtype = DType::float64, DType candidate_dtype = DType::float64) {
  RowComparer comparer(reference_dtype, candidate_dtype, static_cast<std::int64_t>(reference.size()));
  Step step;
  step.chosen_reference = chosen;
  step.chosen_candidate = static_cast<std::int32_t>(top_of(candidate).id);
  comparer.compare(words_of(reference_dtype, reference).data(), words_of(candidate_dtype, candidate).data(),
                   RowComparer::kNoToken, step);
  return step;
}

// log-softmax and KL as in a textbook, in long double.
long double textbook_kl(const std::vector<double>& x, const std::vector<double>& y) {
  const auto log_sum = [](const std::vector<double>& row) {
    long double top = -kInfinity;
    for (const double value : row) top = std::max<long double>(top, value);
    long double sum = 0;
    for (const double value : row) sum += std::exp(value - top);
    return top + std::log(sum);
  };
  const long double lx = log_sum(x);
  const long double ly = log_sum(y);
  long double kl = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i] > -kInfinity) kl += std::exp(x[i] - lx) * ((x[i] - lx) - (y[i] - ly));
  return kl;
}

TEST(Metrics, HandComputed) {
  // softmax(0, ln 3) = (1/4, 3/4); softmax(0, 0) = (1/2, 1/2)
  const auto step = compare({0, std::log(3.0)}, {0, 0}, 1);
  EXPECT_FALSE(step.bit_equal);
  EXPECT_EQ(step.elements_differ, 1);
  EXPECT_DOUBLE_EQ(step.max_abs, std::log(3.0));
  EXPECT_DOUBLE_EQ(step.mean_abs, std::log(3.0) / 2);
  EXPECT_DOUBLE_EQ(step.rms, std::log(3.0) / std::sqrt(2.0));
  EXPECT_NEAR(step.kl, 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-15);
  EXPECT_NEAR(step.kl_reverse, 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3), 1e-15);
  EXPECT_NEAR(step.tv, 0.25, 1e-15);
  // against the mean (3/8, 5/8)
  EXPECT_NEAR(step.js,
              0.5 * (0.25 * std::log(2.0 / 3) + 0.75 * std::log(6.0 / 5)) +
                  0.5 * (0.5 * std::log(4.0 / 3) + 0.5 * std::log(4.0 / 5)),
              1e-15);
  EXPECT_NEAR(step.p_reference, 0.75, 1e-15);
  EXPECT_NEAR(step.p_candidate, 0.5, 1e-15);
  EXPECT_NEAR(step.p_own, 0.5, 1e-15);
  EXPECT_DOUBLE_EQ(step.margin_reference, std::log(3.0));
  EXPECT_EQ(step.ties_reference, 1);
  EXPECT_EQ(step.chosen_candidate, 0);  // lowest id at ties
  EXPECT_EQ(step.ties_candidate, 2);
  EXPECT_TRUE(step.flipped() && step.tied());
  EXPECT_EQ(step.margin_candidate, 0);
  EXPECT_DOUBLE_EQ(step.regret, std::log(3.0));
  EXPECT_EQ(step.rank_of_choice, 1);  // nothing is above it
  EXPECT_EQ(step.top_overlap, 2);
}

TEST(Metrics, KlAgreesWithTheTextbookAtEverySize) {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(0, 3);
  for (const std::size_t vocabulary : {1U, 2U, 7U, 8U, 9U, 1000U, 4099U})
    for (const double noise : {10.0, 1.0, 0.05, 0.03, 0.01}) {
      std::vector<double> x(vocabulary);
      std::vector<double> y(vocabulary);
      for (std::size_t i = 0; i < vocabulary; ++i) {
        x[i] = normal(random);
        y[i] = x[i] + noise * normal(random);
      }
      const auto want = static_cast<double>(textbook_kl(x, y));
      EXPECT_NEAR(compare(x, y).kl, want, 1e-12 * want + 1e-17) << vocabulary << " " << noise;
    }
}

TEST(Metrics, TinyDivergenceIsNotLostInCancellation) {
  // p = q = 1/2 moved by d: KL = log cosh(d/2) = d^2/8 - d^4/192 + …, far below 1e-16 of its terms
  for (const double d : {1e-3, 1e-6, 1e-9}) {
    const double want = d * d / 8 - d * d * d * d / 192;
    EXPECT_NEAR(compare({0, 0}, {d, 0}).kl, want, 1e-6 * want) << d;
  }
}

TEST(Metrics, BitEqualOnlyForTheSameWordsOfTheSameType) {
  const std::vector<double> row{1, -2, 0.5};
  EXPECT_TRUE(compare(row, row).bit_equal);
  const auto other_type = compare(row, row, 0, DType::float32, DType::bfloat16);
  EXPECT_FALSE(other_type.bit_equal);
  EXPECT_EQ(other_type.elements_differ, 0);
  EXPECT_EQ(other_type.kl, 0);
  const auto zeros = compare({0.0, 1}, {-0.0, 1});
  EXPECT_FALSE(zeros.bit_equal);
  EXPECT_EQ(zeros.elements_differ, 1);
  EXPECT_EQ(zeros.max_abs, 0);
  EXPECT_EQ(zeros.kl, 0);
  EXPECT_TRUE(compare({kNan, 1}, {kNan, 1}).bit_equal);
}

TEST(Metrics, OneUlpIsSeenInEveryType) {
  for (const auto& [dtype, step] : std::vector<std::pair<DType, double>>{
           {DType::float64, 0x1p-52}, {DType::float32, 0x1p-23}, {DType::bfloat16, 0x1p-7}}) {
    std::vector<double> a(100, 1.0);
    auto b = a;
    b[57] += step;
    const auto got = compare(a, b, 0, dtype, dtype);
    EXPECT_FALSE(got.bit_equal);
    EXPECT_EQ(got.elements_differ, 1);
    EXPECT_EQ(got.max_abs, step);
    EXPECT_EQ(got.max_ulp, 1);
    EXPECT_EQ(got.mean_ulp, 0.01);
    EXPECT_EQ(got.chosen_candidate, 57);
    EXPECT_EQ(got.ties_reference, 100);
  }
}

TEST(Metrics, InfinitiesAndNaN) {
  // a masked token in both, one masked in the candidate only
  const auto masked = compare({0, 0, -kInfinity}, {0, -kInfinity, -kInfinity});
  EXPECT_EQ(masked.not_finite, 1);
  EXPECT_EQ(masked.max_abs, 0);
  EXPECT_EQ(masked.kl, kInfinity);
  const auto unmasked = compare({0, -kInfinity}, {0, 0});
  EXPECT_NEAR(unmasked.kl, std::log(2.0), 1e-15);
  const auto nan = compare({0, 1}, {0, kNan});
  EXPECT_TRUE(std::isnan(nan.kl));
  EXPECT_EQ(nan.not_finite, 1);
  EXPECT_EQ(nan.elements_differ, 1);
  EXPECT_EQ(nan.chosen_candidate, 0);  // NaN is never the top
  EXPECT_TRUE(std::isnan(compare({kInfinity, 1}, {0, 1}).kl));
}

TEST(Metrics, FarTailDoesNotUnderflowIntoNonsense) {
  const auto step = compare({0, -800}, {0, -790});
  EXPECT_GE(step.kl, 0);
  EXPECT_LT(step.kl, 1e-300);
  EXPECT_EQ(step.max_abs, 10);
}

TEST(Rows, ExpIsWithinTwoUlpOfTheTruth) {
  std::mt19937 random(2);
  std::uniform_real_distribution<double> uniform(-708, 0);
  double worst = 0;
  for (int i = 0; i < 200'000; ++i) {
    const double x = i % 2 == 0 ? uniform(random) : uniform(random) / 500;
    const long double want = std::exp(static_cast<long double>(x));
    worst = std::max(worst, static_cast<double>(std::fabs((exp_nonpositive(x) - want) / want)));
  }
  EXPECT_LT(worst, 2 * 0x1p-52);
  EXPECT_EQ(exp_nonpositive(0), 1);
  EXPECT_EQ(exp_nonpositive(-0.0), 1);
  EXPECT_EQ(exp_nonpositive(-kInfinity), 0);
  EXPECT_EQ(exp_nonpositive(-709), 0);
  EXPECT_TRUE(std::isnan(exp_nonpositive(kNan)));
}

TEST(Rows, TopAtEveryPlaceAndLength) {
  for (std::size_t length = 1; length < 20; ++length)
    for (std::size_t at = 0; at < length; ++at) {
      std::vector<double> row(length, -3.0);
      row[at] = -1;
      const Top top = top_of(row);
      EXPECT_EQ(top.id, static_cast<std::int64_t>(at));
      EXPECT_EQ(top.count, 1);
      EXPECT_EQ(top.margin, length == 1 ? kInfinity : 2.0);
    }
}

TEST(Rows, HalfAndBfloat16WidenExactly) {
  std::vector<std::uint16_t> words(65536);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
  const auto* bytes = reinterpret_cast<const std::byte*>(words.data());
  std::vector<double> values(words.size());
  const auto same = [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); };
  widen(DType::bfloat16, bytes, values);
  for (std::size_t i = 0; i < words.size(); ++i)
    ASSERT_TRUE(same(values[i], float_from_bfloat16(words[i]))) << i;
  widen(DType::float16, bytes, values);
  for (std::size_t i = 0; i < words.size(); ++i)
    ASSERT_TRUE(same(values[i], float_from_float16(words[i]))) << i;
}

TEST(Rows, ProbabilityIsTheSoftmax) {
  const std::vector<double> row{0, std::log(2.0), std::log(5.0)};
  EXPECT_NEAR(probability(row, 0), 0.125, 1e-15);
  EXPECT_NEAR(probability(row, 2), 0.625, 1e-15);
}

}  // namespace
}  // namespace shardrift::analysis
