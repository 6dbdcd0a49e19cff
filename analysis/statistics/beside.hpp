// A candidate beside another run of the same prompts: the noise floor (the same configuration once more),
// the truth (higher precision), a yardstick (a change that people already accept).
#pragma once
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/bootstrap.hpp"
#include "analysis/statistics/metric.hpp"

namespace shardrift::statistics {

// What two runs of the reference's configuration differ by. Expected: nothing at all.
struct NoiseFloor {
  std::vector<std::string> names;  // of the repeats
  std::int64_t prompts = 0;        // prompts times repeats compared
  std::int64_t rows = 0;
  std::int64_t rows_differ = 0;  // not bit-equal
  std::int64_t flips = 0;        // ties included
  // Every prompt of every repeat has the reference's bits; false also where rows could not be compared.
  bool zero_bits = false;
};
// `repeats`: the reference against each.
NoiseFloor noise_floor(const std::vector<const analysis::Measurement*>& repeats);

// The candidate's average with the repeats' taken off by the metric's rule. Prompts that only one side has
// are left out; both sides are resampled together.
struct AboveFloor {
  Estimate candidate;  // on the common prompts
  Estimate floor;
  Estimate excess;  // equal to `candidate` for a metric that is shown beside
  FloorRule rule = FloorRule::beside;
};
AboveFloor above_floor(const analysis::Measurement& candidate,
                       const std::vector<const analysis::Measurement*>& repeats, const Metric& metric,
                       const BootstrapOptions& options);

// average(numerator) / average(denominator) over the rows that both have. Both must have been measured
// against one run, whose rows pair them: truth against candidate over truth against reference is the excess
// error ratio (1: the candidate is as far from exact arithmetic as the reference is); reference against
// candidate over reference against an int8 run is a yardstick (0.03: it moves the model 0.03 times as much).
struct Ratio {
  std::string metric;
  Estimate numerator;
  Estimate denominator;
  Estimate ratio;  // NaN where nothing is common or both are 0; infinite where only the denominator is 0
  std::int64_t rows = 0;
};
Ratio ratio_on_common_rows(const analysis::Measurement& numerator, const analysis::Measurement& denominator,
                           const Metric& metric, const BootstrapOptions& options);

// Several runs of one configuration set, compared with one reference: LayerCast's (arXiv 2506.09501) two
// numbers of run-to-run spread, over the reference and all candidates.
struct Spread {
  int runs = 0;              // candidates and the reference
  std::int64_t prompts = 0;  // that every run has
  std::int64_t diverged = 0;
  // Div_Index: tokens before the first position at which any two runs chose differently; over the prompts
  // that diverged. Larger is better.
  Estimate divergence_index;
  // Avg_Std@top1_prob: at the positions before, all runs choose the same token; the standard deviation of
  // its probability among the runs (of the population: divided by the number of runs), averaged over the
  // positions of a prompt, then over prompts.
  Estimate top1_spread;
};
Spread spread_of(const std::vector<const analysis::Measurement*>& candidates,
                 const BootstrapOptions& options);

}  // namespace shardrift::statistics
