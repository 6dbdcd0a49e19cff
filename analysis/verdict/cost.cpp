#include "analysis/verdict/cost.hpp"

#include <algorithm>

#include "analysis/measure/differences.hpp"
#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::verdict {
namespace {

using analysis::Pace;

// An interval that is wider, highest over lowest, is no answer: about a quarter to either side, as much as
// cost_slack lets a candidate cost more than another.
constexpr double kWidest = 1.5;
constexpr std::int64_t kFewestPasses = 24;  // a block of three: its median leaves out the odd one

// What the reference's own runs say: how long one takes, and how much that changes.
struct Base {
  Pace pace;        // the fastest and the slowest block of all runs
  double runs = 1;  // the slowest run over the fastest
};

Base base_of(const Pace& reference, std::span<const analysis::Measurement> repeats) {
  Base base{reference, 1};
  double fastest = reference.seconds;
  double slowest = reference.seconds;
  for (const auto& repeat : repeats) {
    const Pace& again = repeat.candidate.pace;
    if (again.passes == 0 || again.decode != reference.decode) continue;
    fastest = std::min(fastest, again.seconds);
    slowest = std::max(slowest, again.seconds);
    base.pace.fastest = std::min(base.pace.fastest, again.fastest);
    base.pace.slowest = std::max(base.pace.slowest, again.slowest);
    base.pace.passes = std::min(base.pace.passes, again.passes);
  }
  base.pace.seconds = (fastest + slowest) / 2;
  base.runs = slowest / fastest;
  return base;
}

bool timed_again(const Pace& reference, std::span<const analysis::Measurement> repeats) {
  return std::any_of(repeats.begin(), repeats.end(), [&](const analysis::Measurement& repeat) {
    return repeat.candidate.pace.passes > 0 && repeat.candidate.pace.decode == reference.decode;
  });
}

// Why no claim can be made; empty: one can.
std::string why_unclear(const Base& base, const Pace& candidate, const statistics::Interval& times) {
  if (const auto passes = std::min(base.pace.passes, candidate.passes); passes < kFewestPasses)
    return fmt::format("only {} pass{} timed, at least {} are needed", passes,
                       passes == 1 ? " was" : "es were", kFewestPasses);
  if (times.high <= kWidest * times.low) return {};
  const double within = candidate.slowest / candidate.fastest;
  const double reference = base.pace.slowest / base.pace.fastest;
  if (base.runs * base.runs >= std::max(within, reference / base.runs))
    return fmt::format("the reference's own runs differ by {:.3g}x in speed", base.runs);
  return fmt::format("passes of one run differ by {:.3g}x in speed ({})", std::max(within, reference),
                     within >= reference ? "the candidate's" : "the reference's");
}

}  // namespace

Cost cost_of(const analysis::RunSummary& run) {
  Cost cost;
  int devices_of_replica = 0;
  try {
    const Plan plan = plan_from_json(run.run.plan);
    devices_of_replica = plan.tensor_parallel * plan.pipeline;
    cost.devices = devices_of_replica * plan.replicas;
    if (plan.shards > plan.tensor_parallel && (run.predicted || plan.reduction.predicts())) {
      cost.unknown = fmt::format("predicted on {} device{} for {}", cost.devices,
                                 cost.devices == 1 ? "" : "s", plan.shards * plan.pipeline * plan.replicas);
      cost.devices = plan.shards * plan.pipeline * plan.replicas;
      return cost;
    }
  } catch (const Error&) {
    cost.unknown = analysis::engine_of(run.run).empty() ? "a plan of another version" : "of an engine's run";
    return cost;
  }
  if (run.pace.passes == 0) {
    cost.unknown = "the record has no timing";
    return cost;
  }
  // One process of one replica took this time; other replicas do other prompts meanwhile.
  cost.seconds_per_token = run.pace.seconds;
  cost.device_seconds_per_1000_tokens = 1000 * devices_of_replica * cost.seconds_per_token;
  return cost;
}

Cost compare_cost(const analysis::RunSummary& reference, std::span<const analysis::Measurement> repeats,
                  const analysis::RunSummary& candidate) {
  Cost cost = cost_of(candidate);
  const Cost one = cost_of(reference);
  if (!(cost.device_seconds_per_1000_tokens > 0) || !(one.device_seconds_per_1000_tokens > 0) ||
      reference.pace.decode != candidate.pace.decode)
    return cost;
  if (!timed_again(reference.pace, repeats)) {
    cost.unclear = "one timing of each: the reference was not run again (--noise-floor)";
    return cost;
  }
  const Base base = base_of(reference.pace, repeats);
  const double devices = cost.device_seconds_per_1000_tokens / cost.seconds_per_token /
                         (one.device_seconds_per_1000_tokens / one.seconds_per_token);
  // The candidate ran once: its run may have been as lucky or unlucky as the reference's were.
  const Pace& own = candidate.pace;
  const statistics::Interval times{devices * own.fastest / base.runs / base.pace.slowest,
                                   devices * own.slowest * base.runs / base.pace.fastest};
  cost.unclear = why_unclear(base, own, times);
  if (!cost.unclear.empty()) return cost;
  cost.times_reference = devices * own.seconds / base.pace.seconds;
  cost.times = times;
  return cost;
}

std::string cost_words(const Cost& cost) {
  if (!(cost.times_reference > 0)) return {};
  const auto range =
      fmt::format("{:.2f}x ({:.2f} to {:.2f})", cost.times_reference, cost.times.low, cost.times.high);
  if (cost.times.low <= 1 && cost.times.high >= 1)
    return fmt::format("about the reference's device time: {}", range);
  return fmt::format("{} the reference's device time", range);
}

}  // namespace shardrift::verdict
