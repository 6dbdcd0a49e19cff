#include "analysis/measure/routes.hpp"

#include <algorithm>
#include <cmath>
#include <span>

namespace shardrift::analysis {
namespace {

using record::PromptRecord;
using record::Routes;

// Positions [0, n) were fed the same tokens.
std::int64_t common_tokens(const PromptRecord& reference, const Alignment& alignment) {
  const auto of_prompt = static_cast<std::int64_t>(reference.prompt.tokens.size());
  if (alignment.count == 0) return of_prompt;
  const auto last = static_cast<std::size_t>(alignment.reference_begin + alignment.count - 1);
  return std::int64_t{reference.rows[last].position} + 1;
}

template <typename Value>
std::span<const Value> of_token(const std::vector<Value>& values, const Routes& routes, std::size_t layer,
                                std::int64_t position) {
  return std::span(values).subspan(routes.at(layer, position), static_cast<std::size_t>(routes.k));
}

void count(const Routes& reference, const Routes& candidate, std::size_t layer, std::int64_t position,
           LayerRoutes& counted, Step& step) {
  if (!std::ranges::equal(of_token(reference.experts, reference, layer, position),
                          of_token(candidate.experts, candidate, layer, position))) {
    ++counted.flips;
    if (counted.first_flip < 0) counted.first_flip = position;
    ++step.route_flips;
    return;
  }
  const auto r = of_token(reference.weights, reference, layer, position);
  const auto c = of_token(candidate.weights, candidate, layer, position);
  for (std::size_t i = 0; i < r.size(); ++i) {
    const double drift = std::fabs(static_cast<double>(c[i]) - static_cast<double>(r[i]));
    counted.sum_drift += drift;
    counted.max_drift = std::max(counted.max_drift, drift);
    step.route_drift = std::max(step.route_drift, drift);
  }
}

bool are_of_one_model(const PromptRoutes& one, const PromptRoutes& other) {
  return one.k == other.k &&
         std::ranges::equal(one.layers, other.layers, {}, &LayerRoutes::layer, &LayerRoutes::layer);
}

void add(RouteTotals& totals, const PromptMeasurement& prompt) {
  const PromptRoutes& routes = prompt.routes;
  totals.tokens += routes.tokens;
  totals.tokens_flipped += routes.tokens_flipped;
  for (std::size_t i = 0; i < routes.layers.size(); ++i) {
    const LayerRoutes& one = routes.layers[i];
    LayerRoutes& all = totals.layers[i];
    all.flips += one.flips;
    all.sum_drift += one.sum_drift;
    all.max_drift = std::max(all.max_drift, one.max_drift);
    if (one.first_flip < 0) continue;
    if (all.first_flip < 0 || one.first_flip < all.first_flip) all.first_flip = one.first_flip;
    if (!totals.first_flip || one.first_flip < totals.first_flip->position)
      totals.first_flip = {prompt.id, one.first_flip, one.layer};
  }
}

}  // namespace

void measure_routes(const PromptRecord& reference, const PromptRecord& candidate, const Alignment& alignment,
                    PromptMeasurement& prompt) {
  const Routes& r = reference.routes;
  const Routes& c = candidate.routes;
  if (r.empty() || r.layers != c.layers || r.k != c.k) return;
  PromptRoutes& routes = prompt.routes;
  routes.k = r.k;
  routes.tokens = std::min({common_tokens(reference, alignment), r.positions, c.positions});
  for (const auto layer : r.layers) routes.layers.push_back({.layer = layer});
  auto compared = prompt.steps.begin();
  for (std::int64_t position = 0; position < routes.tokens; ++position) {
    Step step;
    step.route_flips = 0;
    step.route_drift = 0;
    for (std::size_t layer = 0; layer < routes.layers.size(); ++layer)
      count(r, c, layer, position, routes.layers[layer], step);
    const bool everywhere = step.route_flips == static_cast<double>(routes.layers.size());
    if (everywhere) step.route_drift = kNoValue;
    routes.tokens_flipped += step.route_flips > 0 ? 1 : 0;
    if (compared == prompt.steps.end() || compared->position != position) continue;
    compared->route_flips = step.route_flips;
    compared->route_drift = step.route_drift;
    ++compared;
  }
}

std::int64_t RouteTotals::pairs_flipped() const {
  std::int64_t flips = 0;
  for (const auto& layer : layers) flips += layer.flips;
  return flips;
}

double RouteTotals::max_drift() const {
  double largest = 0;
  for (const auto& layer : layers) largest = std::max(largest, layer.max_drift);
  return largest;
}

double RouteTotals::mean_drift() const {
  double sum = 0;
  for (const auto& layer : layers) sum += layer.sum_drift;
  const std::int64_t weights = (pairs() - pairs_flipped()) * k;
  return weights == 0 ? kNoValue : sum / static_cast<double>(weights);
}

std::optional<RouteTotals> routes_of(const Measurement& measurement) {
  const PromptRoutes* first = nullptr;
  RouteTotals totals;
  for (const auto& prompt : measurement.prompts) {
    const PromptRoutes& routes = prompt.routes;
    if (routes.layers.empty()) continue;
    if (first == nullptr) {
      first = &routes;
      totals.k = routes.k;
      for (const auto& layer : routes.layers) totals.layers.push_back({.layer = layer.layer});
    }
    // A file may say of each prompt what it likes.
    if (are_of_one_model(routes, *first)) add(totals, prompt);
  }
  if (first == nullptr) return std::nullopt;
  return totals;
}

}  // namespace shardrift::analysis
