#include "worker/totals.hpp"

#include <algorithm>

namespace shardrift {
namespace {
constexpr double kShortestTiming = 0.5;  // seconds of decoding below which its bandwidth says nothing
}

Totals total(const World& world, const RunOptions& options, const Generator& generator,
             const ModelWeights& weights, Backend& backend, const Place& place) {
  const auto& timing = generator.timing();
  const auto rate = [&](std::int64_t tokens, double seconds) {
    const double longest = world.maximum(place.writes() ? seconds : 0);
    const auto sum = static_cast<double>(world.sum(place.writes() ? tokens : 0));
    return longest > 0 ? sum / longest : 0;
  };
  Totals totals;
  totals.prefill_rate = rate(timing.prefill_tokens, timing.prefill_seconds);
  totals.decode_rate = rate(timing.decode_tokens, timing.decode_seconds);
  // One decode pass reads every rank's weights once; keys and values are not counted. bytes / bandwidth of a
  // stage is measured with its ranks reading together. Stages work in turns, as many at once as groups are in
  // flight: a pass takes its share of all of them, at least the slowest one's time.
  const double seconds = world.maximum(place.writes() ? generator.timing().decode_seconds : 0);
  if (seconds < kShortestTiming) return totals;
  double all_stages = 0;
  double slowest_stage = 0;
  std::int64_t pass_bytes = 0;
  for (int stage = 0; stage < options.plan.pipeline; ++stage) {
    const bool here = place.stage == stage;
    world.barrier();
    const auto bandwidth = world.sum(here ? static_cast<std::int64_t>(backend.read_bandwidth()) : 0);
    const auto bytes = world.sum(here ? static_cast<std::int64_t>(weights.bytes_per_token) : 0);
    const double shortest = static_cast<double>(bytes) / static_cast<double>(bandwidth);
    all_stages += shortest;
    slowest_stage = std::max(slowest_stage, shortest);
    pass_bytes += bytes;
  }
  const auto passes = world.sum(place.writes() ? generator.decode_passes() : 0);
  const double pass_seconds = seconds * options.plan.replicas / static_cast<double>(passes);
  totals.bytes_per_second = static_cast<double>(pass_bytes) / pass_seconds;
  totals.roofline = std::max(slowest_stage, all_stages / options.in_flight) / pass_seconds;
  return totals;
}

}  // namespace shardrift
