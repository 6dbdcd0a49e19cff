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

// Rows whose top logit is there more than once are counted apart: argmax then takes the lowest id, and the
// smallest change decides. A "flip" is a row without a tie in either run at which the chosen tokens differ.
struct RunStatistics {
  std::int64_t prompts = 0;            // compared
  std::int64_t prompts_bit_equal = 0;  // every row of both files has the same words
  std::int64_t prompts_differ = 0;     // neither: equal as far as compared
  std::int64_t rows = 0;               // compared
  std::int64_t rows_measured = 0;      // with logits on both sides
  std::int64_t rows_differ = 0;        // of the measured
  std::int64_t flips = 0;
  std::int64_t flips_at_ties = 0;
  std::int64_t ties = 0;
  Estimate flip_share;   // of rows; at ties left out
  Estimate flip_regret;  // mean over all rows whose choice differs, ties included: how much likelier the
                         //   reference found its own token, nats; NaN where nothing flips
  std::vector<MetricStatistics> metrics;  // those of metrics() that have percentiles: no events
  Survival survival;                      // empty for score runs

  const MetricStatistics* of(std::string_view name) const;  // null where no row has it
};

RunStatistics statistics_of(const analysis::Measurement& measurement, const BootstrapOptions& options);

}  // namespace shardrift::statistics
