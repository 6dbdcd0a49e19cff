// shardrift-run run: the main path, to be read top to bottom in run.cpp.
#pragma once
#include <string>
#include <vector>

#include "options/pinning.hpp"
#include "options/run_options.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "worker/opened_plan.hpp"

namespace shardrift {

// Collective over all ranks. Returns the exit code; throws Error, the same on every rank while ranks can
// still agree, else after World::abort would be right (see main.cpp).
// `pinning` is what main.cpp applied before MPI started.
int run_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning);
// The same once flags are read and the device is open.
int run_plan(const World& world, const RunOptions& options, OpenedPlan opened, const Pinning& pinning);

}  // namespace shardrift
