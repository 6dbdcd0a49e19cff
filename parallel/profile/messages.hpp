// The messages that a plan's row-parallel linears sum, as the collective library sees them.
#pragma once
#include <cstdint>
#include <set>
#include <vector>

#include "parallel/plan/plan.hpp"
#include "parallel/profile/collective_model.hpp"

namespace shardrift {

// Elements, rows · hidden.
struct Messages {
  std::set<std::int64_t> eager;     // of passes that are enqueued operation by operation
  std::set<std::int64_t> captured;  // of passes that are replayed from a CUDA graph
  std::int64_t largest() const;     // 0: there are none
};
// Of each prefill pass (prompts of these lengths, in the order of the run) and, where the run decodes, of a
// decode pass.
Messages messages_of(const Plan& plan, std::int64_t hidden, const std::vector<std::int64_t>& prompt_lengths,
                     bool decodes);

// The collective that a native sum of this plan is, and the elements it is called with for such a message:
// under
// --row-linear scatter a reduce-scatter of the padded one.
CollectiveOperation operation_of(const Plan& plan);
std::int64_t called_count(const Plan& plan, std::int64_t count);
Messages called(const Plan& plan, const Messages& messages);

}  // namespace shardrift
