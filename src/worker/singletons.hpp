// Processes that srun started and that MPI does not know as ranks of one program.
#pragma once
#include <string_view>

#include "parallel/transport/mpi_world.hpp"

namespace shardrift {

// Throws usage_error where `ranks` are needed, this process is alone, and srun started several like it: each
// would be told that one rank was started, and to use srun.
void refuse_singletons(const World& world, int ranks);

// Before MPI and any thread start: one process alone sends no messages, so OpenMPI need not look for networks
// to send them through (UCX, libfabric), which takes a quarter of a second. What the user's environment says
// is kept.
void leave_networks_out();
// Whether this variable is what that set: nobody's choice, and not recorded.
bool left_networks_out(std::string_view variable);

}  // namespace shardrift
