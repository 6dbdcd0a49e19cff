#include "analysis/statistics/run_statistics.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/statistics/percentiles.hpp"

namespace shardrift::statistics {
namespace {

using analysis::Measurement;
using analysis::Step;

bool is_event(const Metric& metric) {
  static const std::vector<std::string_view> kEvents{"flips", "clear_flips", "flips_at_ties", "ties",
                                                     "rows_differ"};
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
  result.average = average_of(measurement, metric, options);
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
      if (step.flipped()) ++(step.tied() ? result.flips_at_ties : result.clear_flips);
      if (!step.measured) continue;
      ++result.rows_measured;
      result.rows_differ += step.differs() ? 1 : 0;
      result.ties += step.tied() ? 1 : 0;
    }
  }
}

Estimate flip_regret(const Measurement& measurement, bool clear_only, const BootstrapOptions& options) {
  const auto regrets = flip_regrets(measurement, clear_only);
  return reweighted_mean(regrets.values, regrets.worst, options);
}

}  // namespace

const MetricStatistics* RunStatistics::of(std::string_view name) const {
  for (const auto& one : metrics)
    if (one.metric->name == name && one.rows > 0) return &one;
  return nullptr;
}

FlipRegrets flip_regrets(const Measurement& measurement, bool clear_only) {
  FlipRegrets result;
  double largest = 0;
  for (const auto& prompt : measurement.prompts) {
    double regret = 0;
    double flips = 0;
    for (const Step& step : prompt.steps) {
      largest = std::max(largest, step.max_abs);  // NaN is not larger
      if (!step.flipped() || std::isnan(step.regret) || (clear_only && step.tied())) continue;
      regret += step.regret;
      flips += 1;
    }
    result.values.sum.push_back(regret);
    result.values.rows.push_back(flips);
  }
  result.worst = {2 * largest, 1, true};
  return result;
}

Clustered rows_above(const Measurement& measurement, const Metric& metric, double level) {
  Clustered result;
  for (const auto& prompt : measurement.prompts) {
    double above = 0;
    double rows = 0;
    for (const Step& step : prompt.steps) {
      const double value = metric.of(step);
      if (std::isnan(value)) continue;
      above += value > level ? 1 : 0;
      rows += 1;
    }
    result.sum.push_back(above);
    result.rows.push_back(rows);
  }
  return result;
}

RunStatistics statistics_of(const Measurement& measurement, const BootstrapOptions& options) {
  RunStatistics result;
  count(measurement, result);
  for (const auto& metric : metrics())
    if (!is_event(metric)) result.metrics.push_back(metric_statistics(measurement, metric, options));
  result.flip_share = average_of(measurement, metric("flips"), options);
  result.clear_flip_share = average_of(measurement, metric("clear_flips"), options);
  result.flip_regret = flip_regret(measurement, false, options);
  result.clear_flip_regret = flip_regret(measurement, true, options);
  if (generates(measurement)) result.survival = survival(lifetimes(measurement), options.confidence);
  return result;
}

}  // namespace shardrift::statistics
