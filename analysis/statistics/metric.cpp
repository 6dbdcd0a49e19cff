#include "analysis/statistics/metric.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

namespace shardrift::statistics {
namespace {

using analysis::kNoValue;
using analysis::Step;

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

double one_if(bool condition) {
  return condition ? 1 : 0;
}

}  // namespace

double above_floor(double value, double floor, FloorRule rule) {
  if (std::isnan(value) || std::isnan(floor)) return kNoValue;
  switch (rule) {
    case FloorRule::difference:
      return value > floor ? value - floor : 0;
    // As a product, so that small values do not underflow and an infinite value stays.
    case FloorRule::quadrature:
      return value > floor ? std::sqrt(value - floor) * std::sqrt(value + floor) : 0;
    case FloorRule::beside:
      return value;
  }
  return value;
}

const std::vector<Metric>& metrics() {
  using A = Average;
  using F = FloorRule;
  static const std::vector<Metric> all{
      {"kl", "KL", "nats", A::mean, F::difference, kUnbounded, [](const Step& s) { return s.kl; }},
      {"kl_reverse", "KL reverse", "nats", A::mean, F::difference, kUnbounded,
       [](const Step& s) { return s.kl_reverse; }},
      {"js", "JS", "nats", A::mean, F::difference, std::numbers::ln2, [](const Step& s) { return s.js; }},
      {"tv", "TV", "", A::mean, F::quadrature, 1, [](const Step& s) { return s.tv; }},
      {"rms", "RMS Δ", "logit", A::root_mean_square, F::quadrature, kUnbounded,
       [](const Step& s) { return s.rms; }},
      {"mean_abs", "mean|Δ|", "logit", A::mean, F::quadrature, kUnbounded,
       [](const Step& s) { return s.mean_abs; }},
      {"max_abs", "max|Δ|", "logit", A::mean, F::beside, kUnbounded, [](const Step& s) { return s.max_abs; }},
      {"max_ulp", "max ULP", "ulp", A::mean, F::beside, kUnbounded, [](const Step& s) { return s.max_ulp; }},
      {"delta_p", "|Δp|", "", A::mean, F::quadrature, 1,
       [](const Step& s) { return std::fabs(s.p_candidate - s.p_reference); }},
      {"log_ratio", "|log q/p|", "nats", A::mean, F::quadrature, kUnbounded,
       [](const Step& s) { return std::fabs(s.log_ratio); }},
      {"regret", "regret", "nats", A::mean, F::difference, kUnbounded,
       [](const Step& s) { return s.regret; }},
      // Of all compared rows: known without logits, but for ties.
      {"flips", "flips", "", A::mean, F::difference, 1, [](const Step& s) { return one_if(s.flipped()); }},
      {"clear_flips", "clear flips", "", A::mean, F::difference, 1,
       [](const Step& s) { return one_if(s.flipped() && !s.tied()); }},
      {"flips_at_ties", "flips at ties", "", A::mean, F::difference, 1,
       [](const Step& s) { return one_if(s.flipped() && s.tied()); }},
      {"ties", "ties", "", A::mean, F::beside, 1,
       [](const Step& s) { return s.measured ? one_if(s.tied()) : kNoValue; }},
      {"rows_differ", "rows differ", "", A::mean, F::beside, 1,
       [](const Step& s) { return s.measured ? one_if(s.differs()) : kNoValue; }},
  };
  return all;
}

const Metric& metric(std::string_view name) {
  return *std::find_if(metrics().begin(), metrics().end(), [&](const Metric& m) { return m.name == name; });
}

PromptSums sums_of(const std::vector<const analysis::Measurement*>& measurements, const Metric& metric) {
  PromptSums sums;
  std::map<std::string, std::size_t> places;
  for (const auto* measurement : measurements)
    for (const auto& prompt : measurement->prompts) {
      const auto [place, added] = places.emplace(prompt.id, sums.ids.size());
      if (added) {
        sums.ids.push_back(prompt.id);
        sums.sum.push_back(0);
        sums.rows.push_back(0);
      }
      for (const auto& step : prompt.steps) {
        const double value = metric.of(step);
        if (std::isnan(value)) continue;
        sums.sum[place->second] += metric.average == Average::mean ? value : value * value;
        sums.rows[place->second] += 1;
      }
    }
  return sums;
}

PromptSums sums_of(const analysis::Measurement& measurement, const Metric& metric) {
  return sums_of(std::vector<const analysis::Measurement*>{&measurement}, metric);
}

Worst worst_of(const analysis::Measurement& measurement, const Metric& metric, const PromptSums& sums) {
  const std::string_view name = metric.name;
  const bool flips = name == "flips" || name == "clear_flips" || name == "flips_at_ties";
  if (flips && measurement.candidate.run.mode == "greedy") return {1, 1, true};
  const bool counts = flips || name == "ties" || name == "rows_differ" || name == "max_ulp";
  return worst_of_rows(
      sums.rows, metric.average == Average::mean ? metric.highest : metric.highest * metric.highest, counts);
}

Estimate average_of(const PromptSums& sums, Average average, const Worst& worst,
                    const BootstrapOptions& options) {
  Estimate result = reweighted_mean(sums, worst, options);
  if (average == Average::root_mean_square)
    for (double* value : {&result.value, &result.interval.low, &result.interval.high})
      *value = std::sqrt(*value);
  return result;
}

Estimate average_of(const analysis::Measurement& measurement, const Metric& metric,
                    const BootstrapOptions& options) {
  const auto sums = sums_of(measurement, metric);
  return average_of(sums, metric.average, worst_of(measurement, metric, sums), options);
}

}  // namespace shardrift::statistics
