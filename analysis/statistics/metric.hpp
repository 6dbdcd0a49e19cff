// The numbers of a row that a run's statistics are made of, and how the noise floor is taken off each.
// Formulas: docs/metrics.md; the rules: docs/verdict.md.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/bootstrap.hpp"
#include "analysis/statistics/reweighting.hpp"
#include "common/named_enum.hpp"

namespace shardrift::statistics {

// What is left of a run's value after the noise floor's.
enum class FloorRule {
  // value - floor. Counts and shares of events, and what is quadratic in the logits' change (KL, JS): for
  // independent noise the expectation of the square is the sum of the squares'.
  difference,
  // sqrt(value^2 - floor^2). What is linear in the logits' change (RMS, mean |Δ|, TV, |Δp|): the same,
  // in the square.
  quadrature,
  // Not subtracted but shown beside: maxima and percentiles of noise do not add up.
  beside,
};
constexpr auto names_of(FloorRule) {
  return std::to_array<Named<FloorRule>>({{FloorRule::difference, "difference"},
                                          {FloorRule::quadrature, "quadrature"},
                                          {FloorRule::beside, "beside"}});
}
// At least 0. NaN where either is.
double above_floor(double value, double floor, FloorRule rule);

enum class Average {
  mean,
  root_mean_square,
};

struct Metric {
  const char* name;   // key in JSON and threshold files
  const char* title;  // in tables
  const char* unit;   // "nats", "logit", "ulp", "" (a probability or share)
  Average average;
  FloorRule floor;
  double highest;                       // that a row can have; infinite where nothing bounds it
  double (*of)(const analysis::Step&);  // NaN: no value in this row
};

// kl, kl_reverse, js, tv, rms, mean_abs, max_abs, max_ulp, delta_p, log_ratio, regret, flips, clear_flips,
// flips_at_ties, ties, rows_differ.
const std::vector<Metric>& metrics();
const Metric& metric(std::string_view name);  // one of the above

// A metric's rows by prompt: the sum of the values (of their squares for a root mean square) and how many
// rows have one. Infinite values stay; the mean is then infinite.
struct PromptSums : Clustered {
  std::vector<std::string> ids;
};
PromptSums sums_of(const analysis::Measurement& measurement, const Metric& metric);
// Of several runs of the same prompts, added up by prompt.
PromptSums sums_of(const std::vector<const analysis::Measurement*>& measurements, const Metric& metric);

// The prompt that would raise the average most, of these sums' metric. A greedy run is compared up to its
// first flip: no prompt has two.
Worst worst_of(const analysis::Measurement& measurement, const Metric& metric, const PromptSums& sums);

// Mean (or root mean square) over all rows, with an interval that takes prompts whole.
Estimate average_of(const PromptSums& sums, Average average, const Worst& worst,
                    const BootstrapOptions& options);
Estimate average_of(const analysis::Measurement& measurement, const Metric& metric,
                    const BootstrapOptions& options);

}  // namespace shardrift::statistics
