// Which weights a run computes with, known to every rank: a hash of every stored byte
// (weights/weight_hash.hpp). Ranks that read the same files share the work; ranks with files of their own
// hash them too, and all have to come to the same.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "parallel/transport/mpi_world.hpp"
#include "weights/weight_hash.hpp"

namespace shardrift {

class WeightsIdentity {
 public:
  // Collective. Looks for what was kept of an earlier run. Both must outlive it.
  // threads: of this rank, that hash.
  WeightsIdentity(const World& world, const Checkpoint& checkpoint, int threads);

  bool known() const { return known_; }  // on every rank alike
  void start();                          // begins to hash, beside what the rank goes on with
  // Collective, after start() where it is not known: waits for the hash, and keeps it. Throws AgreedError:
  // usage where the ranks read different weights, failure where a file changed meanwhile.
  std::string hash(const std::function<void(double share)>& progress);

 private:
  const World& world_;
  const Checkpoint& checkpoint_;
  int threads_;
  int files_ = 0;                    // stands for the files this rank reads
  Communicator readers_;             // the ranks that read the same files
  std::vector<std::uint64_t> sums_;  // rank 0 of readers_, where they were kept
  bool known_ = false;
  std::unique_ptr<WeightHasher> hasher_;
};

}  // namespace shardrift
