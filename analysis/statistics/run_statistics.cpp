#include "analysis/statistics/run_statistics.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/statistics/percentiles.hpp"

namespace shardrift::statistics {
namespace {

using analysis::Measurement;
using analysis::Step;

bool is_event(const Metric& metric) {
  static const std::vector<std::string_view> kEvents{"flips", "flips_at_ties", "ties", "rows_differ"};
  return std::find(kEvents.begin(), kEvents.end(), metric.name) != kEvents.end();
}

MetricStatistics metric_statistics(const Measurement& measurement, const Metric& metric,
                                   const BootstrapOptions& options) {
  std::vector<std::vector<double>> rows;
  MetricStatistics result;
  result.metric = &metric;
  for (const auto& prompt : measurement.prompts) {
    auto& values = rows.emplace_back();
    for (const auto& step : prompt.steps) {
      const double value = metric.of(step);
      if (std::isnan(value)) continue;
      values.push_back(value);
      if (!(value <= result.max)) result.max = value;
      ++result.rows;
    }
  }
  if (result.rows == 0) return result;
  result.average = average_of(sums_of(measurement, metric), metric.average, options);
  const ClusteredValues sorted(rows);
  const std::vector<double> levels{0.5, 0.9, 0.99};
  const auto percentiles = bootstrap_curve(
      static_cast<std::int64_t>(rows.size()), levels.size(),
      [&](const Drawn& drawn, std::vector<double>& values) {
        for (std::size_t k = 0; k < levels.size(); ++k) values[k] = sorted.percentile(levels[k], drawn);
      },
      options);
  result.p50 = percentiles[0];
  result.p90 = percentiles[1];
  result.p99 = percentiles[2];
  return result;
}

void count(const Measurement& measurement, RunStatistics& result) {
  for (const auto& prompt : measurement.prompts) {
    ++result.prompts;
    result.prompts_bit_equal += prompt.bit_equal ? 1 : 0;
    result.prompts_differ += prompt.differs ? 1 : 0;
    for (const Step& step : prompt.steps) {
      ++result.rows;
      if (step.flipped()) ++(step.tied() ? result.flips_at_ties : result.flips);
      if (!step.measured) continue;
      ++result.rows_measured;
      result.rows_differ += step.bit_equal ? 0 : 1;
      result.ties += step.tied() ? 1 : 0;
    }
  }
}

Estimate flip_regret(const Measurement& measurement, const BootstrapOptions& options) {
  std::vector<double> regret;
  std::vector<double> flips;
  for (const auto& prompt : measurement.prompts) {
    regret.push_back(0);
    flips.push_back(0);
    for (const Step& step : prompt.steps) {
      if (!step.flipped() || std::isnan(step.regret)) continue;
      regret.back() += step.regret;
      flips.back() += 1;
    }
  }
  return bootstrap_ratio(regret, flips, options);
}

}  // namespace

const MetricStatistics* RunStatistics::of(std::string_view name) const {
  for (const auto& one : metrics)
    if (one.metric->name == name && one.rows > 0) return &one;
  return nullptr;
}

RunStatistics statistics_of(const Measurement& measurement, const BootstrapOptions& options) {
  RunStatistics result;
  count(measurement, result);
  for (const auto& metric : metrics())
    if (!is_event(metric)) result.metrics.push_back(metric_statistics(measurement, metric, options));
  result.flip_share = average_of(sums_of(measurement, metric("flips")), Average::mean, options);
  result.flip_regret = flip_regret(measurement, options);
  if (generates(measurement)) result.survival = survival(lifetimes(measurement), options.confidence);
  return result;
}

}  // namespace shardrift::statistics
