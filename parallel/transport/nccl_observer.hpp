// What NCCL says of the collectives it launches: algorithm, protocol, channels. NCCL tells this to a profiler
// plugin; ours lies in the executable itself (NCCL_PROFILER_PLUGIN=STATIC_PLUGIN finds the exported symbol
// ncclProfiler_v5, known to NCCL since 2.28; older versions find nothing and nothing is told).
#pragma once
#include <vector>

#include "parallel/transport/transport.hpp"

namespace shardrift {

// Before the first communicator. Leaves a user's own NCCL_PROFILER_PLUGIN alone: nothing is then observed.
void start_nccl_observer();

// The distinct calls of this process since the last take, in the order they were first seen: sums only.
std::vector<CollectiveCall> take_nccl_calls();

}  // namespace shardrift
