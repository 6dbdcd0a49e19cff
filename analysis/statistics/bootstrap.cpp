#include "analysis/statistics/bootstrap.hpp"

#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

#include "analysis/statistics/percentiles.hpp"
#include "analysis/statistics/random.hpp"

namespace shardrift::statistics {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr double kMaxWithoutValue = 0.05;

void draw(Random& random, Drawn& drawn) {
  std::fill(drawn.begin(), drawn.end(), 0);
  for (std::size_t i = 0; i < drawn.size(); ++i) ++drawn[random.below(drawn.size())];
}

// Share of resamples below the estimate, those equal to it counted half, as a normal quantile.
double bias_correction(const std::vector<double>& resampled, double estimate) {
  double below = 0;
  for (const double value : resampled) below += value < estimate ? 1 : value == estimate ? 0.5 : 0;
  const double share = below / static_cast<double>(resampled.size());
  if (share <= 0 || share >= 1) return std::numeric_limits<double>::infinity();
  return boost::math::quantile(boost::math::normal(), share);
}

double acceleration(const std::vector<double>& left_out) {
  double mean = 0;
  for (const double value : left_out) mean += value;
  mean /= static_cast<double>(left_out.size());
  double squares = 0;
  double cubes = 0;
  for (const double value : left_out) {
    const double away = mean - value;
    squares += away * away;
    cubes += away * away * away;
  }
  return cubes / (6 * squares * std::sqrt(squares));  // NaN where all are alike
}

}  // namespace

Interval interval_of(std::vector<double> resampled, double estimate, const std::vector<double>& left_out,
                     double confidence, IntervalMethod& method) {
  double low = (1 - confidence) / 2;
  double high = 1 - low;
  if (method == IntervalMethod::bca) {
    const boost::math::normal normal;
    const double bias = bias_correction(resampled, estimate);
    const double a = left_out.size() < 2 ? kNone : acceleration(left_out);
    const auto corrected = [&](double level) {
      const double shifted = bias + boost::math::quantile(normal, level);
      const double z = bias + shifted / (1 - a * shifted);
      return std::isfinite(z) ? boost::math::cdf(normal, z) : kNone;
    };
    const double corrected_low = corrected(low);
    const double corrected_high = corrected(high);
    if (std::isfinite(corrected_low) && std::isfinite(corrected_high) && corrected_low < corrected_high) {
      low = corrected_low;
      high = corrected_high;
    } else {
      method = IntervalMethod::percentile;
    }
  }
  std::sort(resampled.begin(), resampled.end());
  return {percentile_of_sorted(resampled, low), percentile_of_sorted(resampled, high)};
}

Estimate bootstrap(std::int64_t prompts, const Statistic& statistic, IntervalMethod method,
                   const BootstrapOptions& options) {
  Estimate result;
  result.prompts = prompts;
  Drawn drawn(static_cast<std::size_t>(prompts), 1);
  result.value = prompts > 0 ? statistic(drawn) : kNone;
  if (prompts < 2 || !std::isfinite(result.value)) return result;
  std::vector<double> left_out;
  if (method == IntervalMethod::bca) {
    for (auto& times : drawn) {
      times = 0;
      left_out.push_back(statistic(drawn));
      times = 1;
    }
  }
  Random random(options.seed);
  std::vector<double> resampled;
  resampled.reserve(static_cast<std::size_t>(options.resamples));
  for (int i = 0; i < options.resamples; ++i) {
    draw(random, drawn);
    const double value = statistic(drawn);
    if (!std::isnan(value)) resampled.push_back(value);
  }
  if (static_cast<double>(resampled.size()) < (1 - kMaxWithoutValue) * options.resamples) return result;
  result.method = method;
  result.interval =
      interval_of(std::move(resampled), result.value, left_out, options.confidence, result.method);
  return result;
}

std::vector<Estimate> bootstrap_curve(std::int64_t prompts, std::size_t count,
                                      const std::function<void(const Drawn&, std::vector<double>&)>& curve,
                                      const BootstrapOptions& options) {
  std::vector<Estimate> result(count);
  if (prompts < 1) return result;
  Drawn drawn(static_cast<std::size_t>(prompts), 1);
  std::vector<double> values(count);
  curve(drawn, values);
  for (std::size_t k = 0; k < count; ++k) {
    result[k].value = values[k];
    result[k].prompts = prompts;
  }
  if (prompts < 2) return result;
  std::vector<std::vector<double>> resampled(count);
  Random random(options.seed);
  for (int i = 0; i < options.resamples; ++i) {
    draw(random, drawn);
    curve(drawn, values);
    for (std::size_t k = 0; k < count; ++k)
      if (!std::isnan(values[k])) resampled[k].push_back(values[k]);
  }
  for (std::size_t k = 0; k < count; ++k) {
    if (std::isnan(result[k].value) ||
        static_cast<double>(resampled[k].size()) < (1 - kMaxWithoutValue) * options.resamples)
      continue;
    result[k].method = IntervalMethod::percentile;
    result[k].interval =
        interval_of(std::move(resampled[k]), result[k].value, {}, options.confidence, result[k].method);
  }
  return result;
}

Estimate bootstrap_ratio(const std::vector<double>& numerator, const std::vector<double>& denominator,
                         const BootstrapOptions& options) {
  const auto ratio = [&](const Drawn& drawn) {
    double above = 0;
    double below = 0;
    for (std::size_t j = 0; j < drawn.size(); ++j) {
      if (drawn[j] == 0) continue;  // 0 times infinity has no value
      above += drawn[j] * numerator[j];
      below += drawn[j] * denominator[j];
    }
    return below == 0 ? kNone : above / below;
  };
  return bootstrap(static_cast<std::int64_t>(numerator.size()), ratio, IntervalMethod::bca, options);
}

}  // namespace shardrift::statistics
