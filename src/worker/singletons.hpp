// Processes that srun started and that MPI does not know as ranks of one program.
#pragma once
#include "parallel/transport/mpi_world.hpp"

namespace shardrift {

// Throws usage_error where `ranks` are needed, this process is alone, and srun started several like it: each
// would be told that one rank was started, and to use srun.
void refuse_singletons(const World& world, int ranks);

}  // namespace shardrift
