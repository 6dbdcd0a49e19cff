#include "analysis/verdict/cost.hpp"

#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::verdict {
namespace {

bool decodes(const analysis::RunSummary& run) {
  return run.decode_tokens > 0 && run.decode_seconds > 0;
}

}  // namespace

Cost cost_of(const analysis::RunSummary& run) {
  Cost cost;
  int devices_of_replica = 0;
  try {
    const Plan plan = plan_from_json(run.run.plan);
    devices_of_replica = plan.tensor_parallel * plan.pipeline;
    cost.devices = devices_of_replica * plan.replicas;
    if (plan.shards > plan.tensor_parallel && (run.predicted || plan.reduction.needs_profile())) {
      cost.unknown = fmt::format("predicted on {} device{} for {}", cost.devices,
                                 cost.devices == 1 ? "" : "s", plan.shards * plan.pipeline * plan.replicas);
      cost.devices = plan.shards * plan.pipeline * plan.replicas;
      return cost;
    }
  } catch (const Error&) {
    cost.unknown = "a plan of another version";
    return cost;
  }
  const bool decode = decodes(run);
  const double seconds = decode ? run.decode_seconds : run.prefill_seconds;
  const auto tokens = decode ? run.decode_tokens : run.prefill_tokens;
  if (!(seconds > 0) || tokens <= 0) {
    cost.unknown = "the record has no timing";
    return cost;
  }
  // One process of one replica took this time; other replicas do other prompts meanwhile.
  cost.seconds_per_token = seconds / static_cast<double>(tokens);
  cost.device_seconds_per_1000_tokens = 1000 * devices_of_replica * cost.seconds_per_token;
  return cost;
}

Cost compare_cost(const analysis::RunSummary& reference, const analysis::RunSummary& candidate) {
  Cost cost = cost_of(candidate);
  const Cost one = cost_of(reference);
  if (cost.device_seconds_per_1000_tokens > 0 && one.device_seconds_per_1000_tokens > 0 &&
      decodes(reference) == decodes(candidate))
    cost.times_reference = cost.device_seconds_per_1000_tokens / one.device_seconds_per_1000_tokens;
  return cost;
}

}  // namespace shardrift::verdict
