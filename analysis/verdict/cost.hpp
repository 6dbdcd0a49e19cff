// What a run cost, from the times of its passes and of the reference's repeats.
#pragma once
#include <span>

#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

// times_reference is left 0: see compare_cost.
Cost cost_of(const analysis::RunSummary& run);
// The candidate's cost with times_reference and its interval, where both are known, of one phase, and precise
// enough for a claim. repeats: of the reference; without one nothing tells how much this machine's speed
// changes from one run to the next.
Cost compare_cost(const analysis::RunSummary& reference, std::span<const analysis::Measurement> repeats,
                  const analysis::RunSummary& candidate);
// "1.4x (1.3 to 1.6) the reference's device time"; empty where nothing is claimed.
std::string cost_words(const Cost& cost);

}  // namespace shardrift::verdict
