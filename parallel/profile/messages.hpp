// The messages that a plan's row-parallel linears sum, as the collective library sees them.
#pragma once
#include <cstdint>
#include <set>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "parallel/profile/collective_model.hpp"

namespace shardrift {

// Elements, rows · hidden: of each prefill pass (prompts of these lengths, in the order of the run) and,
// where the run decodes, of a decode pass.
std::set<std::int64_t> message_counts(const Plan& plan, std::int64_t hidden,
                                      const std::vector<std::int64_t>& prompt_lengths, bool decodes);

// The collective that a native sum of this plan is, and the elements it is called with for such a message:
// under
// --row-linear scatter a reduce-scatter of the padded one.
CollectiveOperation operation_of(const Plan& plan);
std::int64_t called_count(const Plan& plan, std::int64_t count);
std::set<std::int64_t> called_counts(const Plan& plan, const std::set<std::int64_t>& counts);

}  // namespace shardrift
