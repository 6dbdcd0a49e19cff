// One candidate against its reference, in a few numbers with intervals.
#pragma once
#include <cstdint>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/bootstrap.hpp"
#include "analysis/statistics/metric.hpp"
#include "analysis/statistics/survival.hpp"

namespace shardrift::statistics {

struct MetricStatistics {
  const Metric* metric = nullptr;
  std::int64_t rows = 0;  // with a value
  Estimate average;       // mean, or root mean square
  Estimate p50;           // of rows
  Estimate p90;
  Estimate p99;
  double max = analysis::kNoValue;
};

// A flip is a row at which the chosen tokens differ. Where either run's top logit is there more than once,
// argmax takes the lowest id, and the smallest change decides: such flips are as good as any for the text,
// and are counted apart. The others are clear flips.
struct RunStatistics {
  std::int64_t prompts = 0;            // compared
  std::int64_t prompts_bit_equal = 0;  // every row of both files has the same words
  std::int64_t prompts_differ = 0;     // neither: equal as far as compared
  std::int64_t rows = 0;               // compared
  std::int64_t rows_measured = 0;      // with logits on both sides
  std::int64_t rows_differ = 0;        // of the measured
  std::int64_t clear_flips = 0;
  std::int64_t flips_at_ties = 0;
  std::int64_t ties = 0;
  Estimate flip_share;  // of rows
  Estimate clear_flip_share;
  Estimate flip_regret;  // mean over flips: how much likelier the reference found its own token, nats; NaN
                         //   where nothing flips
  Estimate clear_flip_regret;
  std::vector<MetricStatistics> metrics;  // those of metrics() that have percentiles: no events
  Survival survival;                      // empty for score runs

  std::int64_t flips() const { return clear_flips + flips_at_ties; }
  const MetricStatistics* of(std::string_view name) const;  // null where no row has it
};

RunStatistics statistics_of(const analysis::Measurement& measurement, const BootstrapOptions& options);

// Regrets of flips by prompt, and the most that a flip could cost: a choice flips where two logits together
// move by its margin, so its regret is at most twice the largest difference of a row.
struct FlipRegrets {
  Clustered values;
  Worst worst;
};
FlipRegrets flip_regrets(const analysis::Measurement& measurement, bool clear_only);

// Rows above `level`, by prompt: 1% of them may be where the 99th percentile is limited to it.
Clustered rows_above(const analysis::Measurement& measurement, const Metric& metric, double level);

}  // namespace shardrift::statistics
