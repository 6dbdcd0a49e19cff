// shardrift-run probe: reveals, prints, checks and saves the order in which live collectives and local folds
// add.
#pragma once
#include <string>
#include <vector>

#include "options/pinning.hpp"
#include "parallel/transport/mpi_world.hpp"

namespace shardrift {

// Collective over all ranks; throws as run_command does. `pinning` is what main.cpp applied before MPI
// started.
int probe_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning);

}  // namespace shardrift
