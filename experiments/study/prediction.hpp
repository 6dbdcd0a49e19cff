// More ranks than devices: which plan gives the same bits on fewer (docs/architecture.md, equality rules)?
#pragma once
#include <cstdint>
#include <string>
#include <variant>

#include "experiments/study/plan_study.hpp"
#include "parallel/plan/plan.hpp"
#include "parallel/profile/messages.hpp"

namespace shardrift::study {

struct Prediction {
  Settings settings;  // the flags of the plan that fits
  std::string why;    // why its bits are the same
};
struct NoPrediction {
  std::string reason;
};

// plan: what `settings` ask for, needing more ranks than the machine has. Given up in this order, until it
// fits: replicas, stages, tensor-parallel ranks. Replicas and stages move bytes only. Shards keep their
// number: a local fold has the same bits on any R, the live sum of two shards has one possible order, and
// that of more is folded as a collective profile says. Where
// no profile knows captured sums and the settings do not ask for them, it is predicted as launched eagerly.
std::variant<Prediction, NoPrediction> predict(const Plan& plan, const Settings& settings,
                                               const Machine& machine, const PlanOptions& options,
                                               const Messages& messages);

}  // namespace shardrift::study
