// From flags to weights: what every command that runs passes of a plan does first, on all ranks alike.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/shard_weights.hpp"
#include "options/pinning.hpp"
#include "options/run_options.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "weights/device_memory.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"
#include "worker/prompts.hpp"
#include "worker/rank_device.hpp"

namespace shardrift {

// The model's configuration, and this rank's device. Everything that can be refused is refused here, before
// weights are read; options.plan is validated, its launch settled.
struct OpenedPlan {
  ModelConfig config;
  RankDevice device;
};
OpenedPlan open_plan(const World& world, RunOptions& options, const Pinning& pinning);

void print_notes(const std::vector<std::string>& notes);

// The checkpoint, once it is known to hold what the configuration says; notes are for the user.
Checkpoint open_checkpoint(const World& world, const RunOptions& options, ModelConfig& config,
                           std::vector<std::string>& notes);

// Rank 0 reads and encodes; all ranks get the same jobs, rank 0 alone the vocabulary.
GivenJobs share_jobs(const World& world, const RunOptions& options, const ModelConfig& config);
// Of the passes that these jobs take.
Capacity capacity_for(const RunOptions& options, const ModelConfig& config, const std::vector<Job>& jobs);

// Of --threads, or as many as a rank has of its machine's cores and may use.
int kernel_threads(const RunOptions& options, const World& world);
// For the user, where that is fewer because the rank is bound; else empty.
std::string note_of_binding(const RunOptions& options, const World& world);
int loading_threads(const RunOptions& options, const World& world);

// On the device once it returns. progress is told the share done, 0 to 1.
ModelWeights load_on_rank(const World& world, const RunOptions& options, const Checkpoint& checkpoint,
                          const ModelConfig& config, const Place& place, Backend& backend,
                          const std::function<void(double)>& progress);

// The groups this rank exchanges bytes in.
struct Groups {
  Communicator tensor_ranks, stage_ranks, replica_ranks;
  std::unique_ptr<Transport> tensor, stage;
  // largest_message: bytes of the largest sum.
  Groups(const World& world, const Plan& plan, const Place& place, const Backend& backend,
         std::size_t largest_message);
};

}  // namespace shardrift
