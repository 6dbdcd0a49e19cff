// What all ranks of a run must have alike: compared before anything depends on it.
#pragma once
#include <string>
#include <vector>

#include "parallel/transport/mpi_world.hpp"

namespace shardrift {

// One value of this rank. `shown` stands for it in a message where it is too long to be read; of two ranks
// with one value it may differ (a path).
struct Stated {
  std::string what;
  std::string value;
  std::string shown = {};
};

// Collective. Where ranks state different values, every rank throws AgreedError (usage): one message with
// each difference, its values and which ranks have them. `advice` ends it.
void require_agreement(const World& world, const std::vector<Stated>& stated, const std::string& advice);
inline void require_agreement(const World& world, const std::string& what, const std::string& value,
                              const std::string& advice = "") {
  require_agreement(world, {{what, value}}, advice);
}

// What the message says: stated[rank], hosts[rank]; empty where all agree.
std::string disagreement(const std::vector<std::vector<Stated>>& stated,
                         const std::vector<std::string>& hosts);

}  // namespace shardrift
