#include "analysis/measure/metrics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "analysis/measure/clones.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::size_t kLanes = 8;
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Differences {
  double max_abs = 0;
  double sum_abs = 0;
  double sum_square = 0;
  std::int64_t without = 0;  // pairs without a finite difference
};

SHARDRIFT_CLONES Differences differences(const double* x, const double* y, std::size_t count) {
  std::array<double, kLanes> most{};
  std::array<double, kLanes> sums{};
  std::array<double, kLanes> squares{};
  std::array<std::int64_t, kLanes> without{};
  std::size_t i = 0;
  const auto add = [&](std::size_t at, std::size_t lane) __attribute__((always_inline)) {
    const bool same = x[at] == y[at] || (x[at] != x[at] && y[at] != y[at]);  // equal infinities, NaN in both
    const double difference = same ? 0.0 : std::fabs(y[at] - x[at]);
    const bool finite = difference <= kLargest;  // false for NaN
    const double counted = finite ? difference : 0.0;
    most[lane] = counted > most[lane] ? counted : most[lane];
    sums[lane] += counted;
    squares[lane] += counted * counted;
    without[lane] += finite ? 0 : 1;
  };
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) add(i + lane, lane);
  for (; i < count; ++i) add(i, 0);
  Differences total;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    total.max_abs = most[lane] > total.max_abs ? most[lane] : total.max_abs;
    total.sum_abs += sums[lane];
    total.sum_square += squares[lane];
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

// Words as integers in the order of the numbers they stand for, both zeros 0: neighbours differ by 1.
template <typename Word, typename Integer>
Integer ordered(Word word) {
  constexpr Word kSign = Word{1} << (8 * sizeof(Word) - 1);
  const auto magnitude = static_cast<Integer>(word & static_cast<Word>(~kSign));
  return (word & kSign) != 0 ? -magnitude : magnitude;
}

struct Ulps {
  double max = 0;
  double sum = 0;
};

template <typename Word, typename Integer>
Ulps ulps(const std::byte* a, const std::byte* b, const double* x, const double* y, std::size_t count) {
  Ulps total;
  for (std::size_t i = 0; i < count; ++i) {
    if (!(std::fabs(y[i] - x[i]) <= kLargest)) continue;
    Word u;
    Word v;
    std::memcpy(&u, a + i * sizeof(Word), sizeof(Word));
    std::memcpy(&v, b + i * sizeof(Word), sizeof(Word));
    const Integer from = ordered<Word, Integer>(u);
    const Integer to = ordered<Word, Integer>(v);
    // Unsigned: between float64 of opposite signs lie up to 2^64 numbers.
    const auto distance =
        static_cast<double>(to > from ? static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from)
                                      : static_cast<std::uint64_t>(from) - static_cast<std::uint64_t>(to));
    total.max = std::max(total.max, distance);
    total.sum += distance;
  }
  return total;
}

struct Divergences {
  double kl = 0;
  double kl_reverse = 0;
  double js = 0;
  double tv = 0;
};

// With d = log q - log p, KL(p || q) is the sum over p (e^d - 1 - d): the p e^d = q sum to 1 as the p do, but
// no term is negative, so a tiny divergence is not lost in cancellation. The reverse likewise, with -d. The
// Jensen-Shannon term is sqrt(p q) (h sinh h - cosh h log cosh h), h = d / 2.
Divergences divergences(const double* x, const double* y, const double* x_exp, const double* y_exp,
                        std::size_t count, double x_top, double y_top, double x_sum, double y_sum) {
  const double log_ratio = std::log(y_sum / x_sum);
  const auto excess = [](double d) {  // e^d - 1 - d
    if (std::fabs(d) >= 0.03125) return std::expm1(d) - d;
    double series = 1.0;
    for (int n = 10; n >= 3; --n) series = 1.0 + d / n * series;
    return 0.5 * d * d * series;
  };
  Divergences total;
  for (std::size_t i = 0; i < count; ++i) {
    const double p = x_exp[i] / x_sum;
    const double q = y_exp[i] / y_sum;
    total.tv += 0.5 * std::fabs(q - p);
    if (p == 0.0 || q == 0.0) {  // there d has no value
      total.kl += p == 0.0 ? q : kInfinity;
      total.kl_reverse += q == 0.0 ? p : kInfinity;
      total.js += 0.5 * (p + q) * std::log(2.0);
      continue;
    }
    const double d = ((y[i] - y_top) - (x[i] - x_top)) - log_ratio;
    total.kl += p * excess(d);
    total.kl_reverse += q * excess(-d);
    const double h = 0.5 * d;
    total.js += std::sqrt(p * q) *
                (h * std::sinh(h) - std::cosh(h) * std::log1p(2 * std::pow(std::sinh(0.5 * h), 2)));
  }
  return total;
}

// The ids of the k largest, lowest id first at ties; NaN is none of them. Sorted by id.
std::vector<std::int64_t> top_ids(const std::vector<double>& row, std::size_t k) {
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i] == row[i]) ids.push_back(static_cast<std::int64_t>(i));
  const auto above = [&](std::int64_t a, std::int64_t b) {
    const double x = row[static_cast<std::size_t>(a)];
    const double y = row[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  };
  k = std::min(k, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(k), ids.end(), above);
  ids.resize(k);
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::int64_t rank_in(const std::vector<double>& row, std::int32_t token) {
  const double value = row[static_cast<std::size_t>(token)];
  if (value != value) return 0;
  return 1 + std::count_if(row.begin(), row.end(), [value](double other) { return other > value; });
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

void RowComparer::compare(const std::byte* reference, const std::byte* candidate, std::int32_t next,
                          Step& step) {
  step.measured = true;
  widen(reference_dtype_, reference, reference_);
  step.bit_equal = reference_dtype_ == candidate_dtype_ &&
                   std::memcmp(reference, candidate, vocabulary_ * size_of(reference_dtype_)) == 0;
  if (step.bit_equal)
    candidate_ = reference_;
  else
    widen(candidate_dtype_, candidate, candidate_);
  const Top x_top = top_of(reference_);
  const Top y_top = top_of(candidate_);
  step.margin_reference = x_top.margin;
  step.margin_candidate = y_top.margin;
  step.ties_reference = x_top.count;
  step.ties_candidate = y_top.count;
  step.rank_of_choice = rank_in(candidate_, step.chosen_reference);
  step.regret = step.flipped() ? reference_[static_cast<std::size_t>(step.chosen_reference)] -
                                     reference_[static_cast<std::size_t>(step.chosen_candidate)]
                               : 0.0;
  const auto x_ids = top_ids(reference_, kTop);
  const auto y_ids = top_ids(candidate_, kTop);
  std::vector<std::int64_t> common;
  std::set_intersection(x_ids.begin(), x_ids.end(), y_ids.begin(), y_ids.end(), std::back_inserter(common));
  step.top_overlap = static_cast<std::int32_t>(common.size());
  if (!step.bit_equal) compare_values(reference, candidate, step);
  compare_softmax(x_top, y_top, next, step);
  if (step.bit_equal) compare_equal(next, step);
}

// Zero by definition, also with NaN in the row.
void RowComparer::compare_equal(std::int32_t next, Step& step) {
  step.max_abs = step.mean_abs = step.rms = 0;
  step.max_ulp = step.mean_ulp = 0;
  step.kl = step.kl_reverse = step.js = step.tv = 0;
  if (next != kNoToken) step.log_ratio = 0;
}

void RowComparer::compare_values(const std::byte* reference, const std::byte* candidate, Step& step) {
  const bool same_dtype = reference_dtype_ == candidate_dtype_;
  const std::size_t width = size_of(reference_dtype_);
  step.elements_differ = same_dtype ? words_that_differ(width, reference, candidate, vocabulary_)
                                    : values_that_differ(reference_, candidate_);
  const double* x = reference_.data();
  const double* y = candidate_.data();
  const Differences total = differences(x, y, vocabulary_);
  step.not_finite = total.without;
  const auto counted = static_cast<double>(vocabulary_) - static_cast<double>(total.without);
  if (counted == 0) return;
  step.max_abs = total.max_abs;
  step.mean_abs = total.sum_abs / counted;
  step.rms = std::sqrt(total.sum_square / counted);
  if (!same_dtype) return;
  const Ulps distance =
      width == 2   ? ulps<std::uint16_t, std::int32_t>(reference, candidate, x, y, vocabulary_)
      : width == 4 ? ulps<std::uint32_t, std::int64_t>(reference, candidate, x, y, vocabulary_)
                   : ulps<std::uint64_t, std::int64_t>(reference, candidate, x, y, vocabulary_);
  step.max_ulp = distance.max;
  step.mean_ulp = distance.sum / counted;
}

void RowComparer::compare_softmax(const Top& x_top, const Top& y_top, std::int32_t next, Step& step) {
  const double x_sum = exp_row(reference_, x_top.value, reference_exp_);
  const double y_sum = exp_row(candidate_, y_top.value, candidate_exp_);
  const auto r = static_cast<std::size_t>(step.chosen_reference);
  const auto c = static_cast<std::size_t>(step.chosen_candidate);
  step.p_reference = reference_exp_[r] / x_sum;
  step.p_candidate = candidate_exp_[r] / y_sum;
  step.p_own = candidate_exp_[c] / y_sum;
  if (next != kNoToken) step.p_next = reference_exp_[static_cast<std::size_t>(next)] / x_sum;
  if (std::isnan(x_sum) || std::isnan(y_sum)) return;
  if (next != kNoToken) {
    const auto t = static_cast<std::size_t>(next);
    step.log_ratio =
        ((candidate_[t] - y_top.value) - std::log(y_sum)) - ((reference_[t] - x_top.value) - std::log(x_sum));
  }
  const Divergences total =
      divergences(reference_.data(), candidate_.data(), reference_exp_.data(), candidate_exp_.data(),
                  vocabulary_, x_top.value, y_top.value, x_sum, y_sum);
  step.kl = total.kl;
  step.kl_reverse = total.kl_reverse;
  step.js = total.js;
  step.tv = total.tv;
}

}  // namespace shardrift::analysis
