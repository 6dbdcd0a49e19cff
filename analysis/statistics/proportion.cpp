#include "analysis/statistics/proportion.hpp"

#include <boost/math/distributions/beta.hpp>
#include <cmath>

namespace shardrift::statistics {

Interval exact_interval(double events, double count, double confidence) {
  const double tail = (1 - confidence) / 2;
  using Beta = boost::math::beta_distribution<double>;
  return {events <= 0 ? 0 : boost::math::quantile(Beta(events, count - events + 1), tail),
          events >= count ? 1 : boost::math::quantile(Beta(events + 1, count - events), 1 - tail)};
}

Estimate proportion(std::int64_t events, std::int64_t count, double confidence) {
  Estimate result;
  result.prompts = count;
  if (count < 1) return result;
  result.value = static_cast<double>(events) / static_cast<double>(count);
  result.method = IntervalMethod::exact;
  result.interval = exact_interval(static_cast<double>(events), static_cast<double>(count), confidence);
  return result;
}

double detectable_share(std::int64_t count, double confidence) {
  if (count < 1) return 1;
  return -std::expm1(std::log((1 - confidence) / 2) / static_cast<double>(count));
}

std::int64_t trials_to_show(double limit, double confidence) {
  if (!(limit > 0 && limit < 1)) return 0;
  const double tail = (1 - confidence) / 2;
  return static_cast<std::int64_t>(std::ceil(std::log(tail) / std::log1p(-limit)));
}

std::optional<std::int64_t> trials_to_decide(double share, double limit, double confidence) {
  constexpr double kMost = 1e7;
  const auto decided = [&](double n) {
    const auto ends = exact_interval(share * n, n, confidence);
    return share <= limit ? ends.high <= limit : ends.low > limit;
  };
  double enough = 1;
  while (!decided(enough)) {
    enough *= 2;
    if (enough > kMost) return std::nullopt;
  }
  double few = std::floor(enough / 2);
  while (enough - few > 1) {
    const double between = std::floor((few + enough) / 2);
    (decided(between) ? enough : few) = between;
  }
  return static_cast<std::int64_t>(enough);
}

}  // namespace shardrift::statistics
