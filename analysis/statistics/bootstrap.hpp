// Confidence intervals by the bootstrap, resampling prompts: rows of one prompt share its text and are far
// from independent, so a prompt is drawn with all of its rows or not at all (the cluster bootstrap).
//
// For numbers that nothing is judged by; limits are judged by reweighting.hpp, for where few prompts make a
// mean the bootstrap's ends are passed too often.
//
// BCa (bias-corrected and accelerated: B. Efron, "Better bootstrap confidence intervals", JASA 82, 1987) for
// ratios of sums: on skewed data the plain percentile interval lies too low.
// The percentile method for percentiles: BCa's acceleration comes from leaving prompts out one at a time,
// which for a quantile says nothing. BCa falls back to the percentile method where it has no value (all
// resamples alike, or all on one side), and the result says so.
//
// Seeded; the same data and seed give the same interval on every machine.
#pragma once
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "common/named_enum.hpp"

namespace shardrift::statistics {

struct Interval {
  double low = std::numeric_limits<double>::quiet_NaN();  // NaN: none
  double high = std::numeric_limits<double>::quiet_NaN();
};

enum class IntervalMethod {
  none,
  bca,
  percentile,
  reweighted,  // reweighting.hpp
  exact,       // from a distribution, not from resamples (proportion.hpp, survival.hpp)
};
constexpr auto names_of(IntervalMethod) {
  return std::to_array<Named<IntervalMethod>>({{IntervalMethod::none, "none"},
                                               {IntervalMethod::bca, "bca"},
                                               {IntervalMethod::percentile, "percentile"},
                                               {IntervalMethod::reweighted, "reweighted"},
                                               {IntervalMethod::exact, "exact"}});
}

struct Estimate {
  double value = std::numeric_limits<double>::quiet_NaN();
  Interval interval;
  IntervalMethod method = IntervalMethod::none;
  std::int64_t prompts = 0;  // resampled, or counted
};

struct BootstrapOptions {
  std::uint64_t seed = 20250611;
  int resamples = 2000;
  double confidence = 0.95;
};

// How often each prompt was drawn.
using Drawn = std::vector<std::uint32_t>;
// The statistic of a resample; NaN where it has none.
using Statistic = std::function<double(const Drawn&)>;

// `prompts` >= 0; with fewer than 2 the estimate has no interval. Resamples without a value (a ratio whose
// denominator was not drawn) are left out; where they are more than 5 % there is no interval.
Estimate bootstrap(std::int64_t prompts, const Statistic& statistic, IntervalMethod method,
                   const BootstrapOptions& options);

// Several statistics of the same resamples, by the percentile method: a curve's points. The function writes
// `count` values.
std::vector<Estimate> bootstrap_curve(std::int64_t prompts, std::size_t count,
                                      const std::function<void(const Drawn&, std::vector<double>&)>& curve,
                                      const BootstrapOptions& options);

// The interval alone, from resampled values (no NaN), the estimate and its values with one prompt left out.
// Sets `method` to what was used.
Interval interval_of(std::vector<double> resampled, double estimate, const std::vector<double>& left_out,
                     double confidence, IntervalMethod& method);

// sum over prompts of drawn * numerator / sum of drawn * denominator: a mean over rows when the numerator is
// a prompt's sum and the denominator its rows. NaN where the denominator is 0.
Estimate bootstrap_ratio(const std::vector<double>& numerator, const std::vector<double>& denominator,
                         const BootstrapOptions& options);

}  // namespace shardrift::statistics
