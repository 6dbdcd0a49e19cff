// shardrift-run graft: which operation's output makes the difference of two plans?
#pragma once
#include <string>
#include <vector>

#include "options/pinning.hpp"
#include "parallel/transport/mpi_world.hpp"

namespace shardrift {

// arguments: "graft" and what follows it. Throws AgreedError in a world of several ranks.
int graft_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning);

}  // namespace shardrift
