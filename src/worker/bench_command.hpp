// shardrift-run bench: how fast a plan is on this machine, and where the time of a step goes.
#pragma once
#include <string>
#include <vector>

#include "options/pinning.hpp"
#include "parallel/transport/mpi_world.hpp"

namespace shardrift {

// arguments: "bench" and what follows it. Every rank calls it.
int bench_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning);

}  // namespace shardrift
