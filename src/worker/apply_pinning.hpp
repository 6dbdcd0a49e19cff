// Pinning reaches the collective libraries through variables, which they read when they start: main.cpp sets
// these before MPI does. A user's own variable that says otherwise is refused, never overwritten; without
// flags nothing is touched.
#pragma once
#include "options/pinning.hpp"

namespace shardrift {

// Sets OMPI_MCA_coll_tuned_use_dynamic_rules and …_allreduce_algorithm, NCCL_ALGO, NCCL_PROTO, NCCL_MIN_CTAS
// and NCCL_MAX_CTAS in this process. Throws usage_error, naming the variable, where one says otherwise
// already.
void apply_pinning(const Pinning& pinning);

}  // namespace shardrift
