#include "analysis/statistics/kl_report.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/statistics/percentiles.hpp"

namespace shardrift::statistics {
namespace {

using analysis::kNoValue;
using analysis::Measurement;
using analysis::Step;

// sqrt of the variance of the mean: (mean of squares - mean^2) / (count - 1).
double error_of_mean(double mean, double mean_of_squares, std::int64_t count) {
  if (count < 2) return kNoValue;
  return std::sqrt(std::max(0.0, mean_of_squares - mean * mean) / static_cast<double>(count - 1));
}

}  // namespace

Distribution distribution_of(std::vector<double> values) {
  Distribution out;
  const auto rows = static_cast<std::int64_t>(values.size());
  values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }),
               values.end());
  out.count = static_cast<std::int64_t>(values.size());
  out.without = rows - out.count;
  if (values.empty()) return out;
  std::sort(values.begin(), values.end());
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(out.count);
  out.mean = sum / count;
  out.mean_error = error_of_mean(out.mean, squares / count, out.count);
  out.rms = std::sqrt(squares / count);
  const auto at = [&](double p) { return percentile_of_sorted(values, p); };
  out.min = values.front();
  out.p0_1 = at(0.001);
  out.p1 = at(0.01);
  out.p5 = at(0.05);
  out.p10 = at(0.1);
  out.p25 = at(0.25);
  out.median = at(0.5);
  out.p75 = at(0.75);
  out.p90 = at(0.9);
  out.p95 = at(0.95);
  out.p99 = at(0.99);
  out.p99_9 = at(0.999);
  out.max = values.back();
  return out;
}

Distribution distribution_of(const Measurement& measurement, double (*of)(const Step&)) {
  std::vector<double> values;
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps)
      if (step.measured) values.push_back(of(step));
  return distribution_of(std::move(values));
}

double delta_p_of_next(const Step& step) {
  return step.p_next * std::expm1(step.log_ratio);
}

KlReport kl_report(const Measurement& measurement) {
  KlReport report;
  report.kl = distribution_of(measurement, [](const Step& step) { return step.kl; });
  report.delta_p = distribution_of(measurement, delta_p_of_next);
  report.rows = report.kl.count + report.kl.without;
  const auto fourth = distribution_of(measurement, [](const Step& step) {
    const double d = delta_p_of_next(step);
    return d * d;
  });
  // of sqrt(x): the error of x times the derivative
  report.rms_delta_p_error = report.delta_p.rms > 0 ? 0.5 / report.delta_p.rms * fourth.mean_error : 0.0;
  report.token_probability_error =
      distribution_of(measurement, [](const Step& step) { return std::exp(std::fabs(step.log_ratio)); }).mean;
  if (report.rows == 0) return report;
  std::int64_t same = 0;
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps) same += step.measured && !step.flipped() ? 1 : 0;
  report.same_top_p = static_cast<double>(same) / static_cast<double>(report.rows);
  if (report.rows > 1)
    report.same_top_p_error =
        std::sqrt(report.same_top_p * (1 - report.same_top_p) / static_cast<double>(report.rows - 1));
  return report;
}

}  // namespace shardrift::statistics
