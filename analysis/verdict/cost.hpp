// What a run cost, from its own record.
#pragma once
#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

// times_reference is left 0: see compare_cost.
Cost cost_of(const analysis::RunSummary& run);
// The candidate's cost with times_reference, where both are known and of one phase.
Cost compare_cost(const analysis::RunSummary& reference, const analysis::RunSummary& candidate);

}  // namespace shardrift::verdict
