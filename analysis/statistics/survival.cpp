#include "analysis/statistics/survival.hpp"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <map>

namespace shardrift::statistics {
namespace {

using Beta = boost::math::beta_distribution<double>;

// First and second moment of a product of independent beta variables, and the beta with the same two.
struct BetaProduct {
  double first = 1;
  double second = 1;

  void multiply(double a, double b) {
    first *= a / (a + b);
    second *= a * (a + 1) / ((a + b) * (a + b + 1));
  }
  double quantile(double level) const {
    const double variance = second - first * first;
    if (!(variance > 0)) return first;
    const double size = (first - second) / variance;  // a + b
    return boost::math::quantile(Beta(first * size, (1 - first) * size), level);
  }
};

}  // namespace

std::vector<Lifetime> lifetimes(const analysis::Measurement& measurement) {
  std::vector<Lifetime> result;
  for (const auto& prompt : measurement.prompts) {
    const auto compared = static_cast<std::int64_t>(prompt.steps.size());
    const bool to_the_end = prompt.reference_stop == "eos" && compared == prompt.reference_steps;
    if (prompt.first_flip)
      result.push_back({static_cast<std::int64_t>(*prompt.first_flip) + 1, End::changed});
    else if (compared > 0)
      result.push_back({compared, to_the_end ? End::whole : End::cut});
  }
  return result;
}

Survival survival(const std::vector<Lifetime>& lifetimes, double confidence) {
  struct At {
    std::int64_t changed = 0;
    std::int64_t cut = 0;
  };
  std::map<std::int64_t, At> events;
  Survival result;
  result.confidence = confidence;
  result.prompts = static_cast<std::int64_t>(lifetimes.size());
  result.known_beyond = result.prompts > 0;
  for (const auto& life : lifetimes) {
    result.changed += life.end == End::changed ? 1 : 0;
    result.whole += life.end == End::whole ? 1 : 0;
    if (life.end != End::whole)
      ++(life.end == End::changed ? events[life.tokens].changed : events[life.tokens].cut);
    result.known_beyond = result.known_beyond && life.end != End::cut;
    if (life.end != End::whole) result.longest = std::max(result.longest, life.tokens);
  }
  const double tail = (1 - confidence) / 2;
  BetaProduct events_so_far;
  double share = 1;
  std::int64_t at_risk = result.prompts;
  // `left`: prompts identical and still compared from here on. The lower end holds until the next event, so
  // it is that of one more prompt of these changing at once.
  const auto add = [&](std::int64_t tokens, const At& at, std::int64_t left) {
    SurvivalPoint point{tokens, at_risk, at.changed, at.cut, share, {}};
    point.interval.high = events_so_far.first < 1 ? events_so_far.quantile(1 - tail) : 1;
    BetaProduct one_more = events_so_far;
    if (left > 0) one_more.multiply(static_cast<double>(left), 1);
    point.interval.low = left > 0 ? one_more.quantile(tail) : 0;
    result.points.push_back(point);
  };
  add(0, {}, at_risk);
  for (auto event = events.begin(); event != events.end(); ++event) {
    const auto& [tokens, at] = *event;
    const std::int64_t identical = at_risk - at.changed;
    if (at.changed > 0) {
      share *= static_cast<double>(identical) / static_cast<double>(at_risk);
      events_so_far.multiply(static_cast<double>(identical) + 1, static_cast<double>(at.changed));
    }
    add(tokens, at, identical);
    at_risk = identical - at.cut;
    // Those that were cut here speak for n, no more for n + 1.
    const auto next = std::next(event);
    if (at.cut > 0 && next != events.end() && next->first > tokens + 1) add(tokens + 1, {}, at_risk);
  }
  return result;
}

std::optional<SurvivalPoint> Survival::after(std::int64_t tokens) const {
  if (prompts == 0 || tokens < 0 || (tokens > longest && !known_beyond)) return std::nullopt;
  const auto next =
      std::upper_bound(points.begin(), points.end(), tokens,
                       [](std::int64_t n, const SurvivalPoint& point) { return n < point.tokens; });
  return *(next - 1);
}

std::optional<std::int64_t> Survival::median() const {
  for (const auto& point : points)
    if (point.share <= 0.5) return point.tokens;
  return std::nullopt;
}

bool generates(const analysis::Measurement& measurement) {
  return measurement.candidate.run.mode != "score" && measurement.reference.run.mode != "score";
}

}  // namespace shardrift::statistics
