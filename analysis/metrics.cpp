#include "analysis/metrics.hpp"

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "analysis/clones.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::size_t kLanes = 8;
constexpr double kLargest = std::numeric_limits<double>::max();

struct Differences {
  double max_abs = 0;
  double sum_abs = 0;
  std::int64_t without = 0;  // pairs without a finite difference
};

SHARDRIFT_CLONES Differences differences(const double* x, const double* y, std::size_t count) {
  std::array<double, kLanes> most{};
  std::array<double, kLanes> sums{};
  std::array<std::int64_t, kLanes> without{};
  std::size_t i = 0;
  const auto add = [&](std::size_t at, std::size_t lane) __attribute__((always_inline)) {
    const double difference = x[at] == y[at] ? 0.0 : std::fabs(y[at] - x[at]);  // equal infinities too
    const bool finite = difference <= kLargest;                                 // false for NaN
    const double counted = finite ? difference : 0.0;
    most[lane] = counted > most[lane] ? counted : most[lane];
    sums[lane] += counted;
    without[lane] += finite ? 0 : 1;
  };
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) add(i + lane, lane);
  for (; i < count; ++i) add(i, 0);
  Differences total;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    total.max_abs = most[lane] > total.max_abs ? most[lane] : total.max_abs;
    total.sum_abs += sums[lane];
    total.without += without[lane];
  }
  return total;
}

template <typename Word>
std::int64_t words_that_differ(const std::byte* a, const std::byte* b, std::size_t count) {
  std::int64_t differ = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Word x;
    Word y;
    std::memcpy(&x, a + i * sizeof(Word), sizeof(Word));
    std::memcpy(&y, b + i * sizeof(Word), sizeof(Word));
    differ += x != y ? 1 : 0;
  }
  return differ;
}

std::int64_t words_that_differ(std::size_t width, const std::byte* a, const std::byte* b, std::size_t count) {
  if (width == 2) return words_that_differ<std::uint16_t>(a, b, count);
  if (width == 4) return words_that_differ<std::uint32_t>(a, b, count);
  return words_that_differ<std::uint64_t>(a, b, count);
}

std::int64_t values_that_differ(const std::vector<double>& a, const std::vector<double>& b) {
  std::int64_t differ = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    differ += a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i])) ? 1 : 0;
  return differ;
}

// Sum over p (e^d - 1 - d) with d = log q - log p. That is KL(p || q), because the p e^d = q sum to 1 as the
// p do, but no term is negative: a tiny divergence is not lost in cancellation.
SHARDRIFT_CLONES double divergence(const double* x, const double* y, const double* x_exp, const double* y_exp,
                                   std::size_t count, double x_shift, double y_shift, double x_sum,
                                   double y_sum) {
  const double log_ratio = std::log(y_sum / x_sum);
  std::array<double, kLanes> sums{};
  const auto term = [&](std::size_t i) __attribute__((always_inline)) {
    const double p = x_exp[i] / x_sum;
    const double q = y_exp[i] / y_sum;
    const double d = ((y[i] - y_shift) - (x[i] - x_shift)) - log_ratio;
    // e^d - 1 - d = d^2/2 (1 + d/3 (1 + d/4 (…))): for |d| < 1/32 the next term is below 1e-16 of it
    double series = 1.0 + d / 10.0;
    series = 1.0 + d / 9.0 * series;
    series = 1.0 + d / 8.0 * series;
    series = 1.0 + d / 7.0 * series;
    series = 1.0 + d / 6.0 * series;
    series = 1.0 + d / 5.0 * series;
    series = 1.0 + d / 4.0 * series;
    series = 1.0 + d / 3.0 * series;
    const double small = p * (0.5 * d * d * series);
    const double large = (q - p) - p * d;
    const double value = std::fabs(d) < 0.03125 ? small : large;
    return p == 0.0 ? q : value;  // where p is 0, d has no value
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += term(i + lane);
  for (; i < count; ++i) sums[0] += term(i);
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

RowComparer::RowComparer(DType reference, DType candidate, std::int64_t vocabulary)
    : reference_dtype_(storage_of(reference)),
      candidate_dtype_(storage_of(candidate)),
      vocabulary_(static_cast<std::size_t>(vocabulary)),
      reference_(vocabulary_),
      candidate_(vocabulary_),
      reference_exp_(vocabulary_),
      candidate_exp_(vocabulary_) {}

StepMetrics RowComparer::compare(const std::byte* reference, const std::byte* candidate,
                                 std::int32_t chosen) {
  StepMetrics step;
  const bool same_dtype = reference_dtype_ == candidate_dtype_;
  const std::size_t width = size_of(reference_dtype_);
  widen(reference_dtype_, reference, reference_);
  step.reference = top_of(reference_);
  if (same_dtype && std::memcmp(reference, candidate, vocabulary_ * width) == 0) {
    step.bit_equal = true;  // everything else is zero by definition, also with NaN in the row
    step.candidate = step.reference;
    return step;
  }
  widen(candidate_dtype_, candidate, candidate_);
  step.candidate = top_of(candidate_);
  step.elements_differ = same_dtype ? words_that_differ(width, reference, candidate, vocabulary_)
                                    : values_that_differ(reference_, candidate_);
  const Differences total = differences(reference_.data(), candidate_.data(), vocabulary_);
  step.max_abs = total.max_abs;
  step.sum_abs = total.sum_abs;
  step.not_finite = total.without;
  softmax_metrics(chosen, step);
  return step;
}

void RowComparer::softmax_metrics(std::int32_t chosen, StepMetrics& step) {
  const double reference_sum = exp_row(reference_, step.reference.value, reference_exp_);
  const double candidate_sum = exp_row(candidate_, step.candidate.value, candidate_exp_);
  const auto token = static_cast<std::size_t>(chosen);
  step.delta_p = candidate_exp_[token] / candidate_sum - reference_exp_[token] / reference_sum;
  if (std::isnan(reference_sum) || std::isnan(candidate_sum)) {
    step.kl = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  step.kl = divergence(reference_.data(), candidate_.data(), reference_exp_.data(), candidate_exp_.data(),
                       vocabulary_, step.reference.value, step.candidate.value, reference_sum, candidate_sum);
}

}  // namespace shardrift::analysis
