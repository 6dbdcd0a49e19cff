#include "analysis/statistics/proportion.hpp"

#include <boost/math/distributions/beta.hpp>
#include <cmath>

namespace shardrift::statistics {

Estimate proportion(std::int64_t events, std::int64_t count, double confidence) {
  Estimate result;
  result.prompts = count;
  if (count < 1) return result;
  const double tail = (1 - confidence) / 2;
  const auto k = static_cast<double>(events);
  const auto n = static_cast<double>(count);
  using Beta = boost::math::beta_distribution<double>;
  result.value = k / n;
  result.method = IntervalMethod::exact;
  result.interval.low = events == 0 ? 0 : boost::math::quantile(Beta(k, n - k + 1), tail);
  result.interval.high = events == count ? 1 : boost::math::quantile(Beta(k + 1, n - k), 1 - tail);
  return result;
}

double detectable_share(std::int64_t count, double confidence) {
  if (count < 1) return 1;
  return -std::expm1(std::log1p(-confidence) / static_cast<double>(count));
}

std::int64_t trials_to_show(double limit, double confidence) {
  if (!(limit > 0 && limit < 1)) return 0;
  const double tail = (1 - confidence) / 2;
  return static_cast<std::int64_t>(std::ceil(std::log(tail) / std::log1p(-limit)));
}

}  // namespace shardrift::statistics
