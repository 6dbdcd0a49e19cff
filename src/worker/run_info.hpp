// What a run is, as its record says and as its resume key is made of.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "options/run_options.hpp"
#include "parallel/profile/profile.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/record.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"
#include "worker/prompts.hpp"

namespace shardrift {

// All but the weights' hash and the resume key. Collective: all ranks get one date.
record::RunInfo describe_run(const World& world, const RunOptions& options, const ModelConfig& config,
                             const Checkpoint& checkpoint, const std::vector<Job>& jobs,
                             record::Environment environment);

// Once the weights are known: what the run is, to the last byte that it reads. replayed: hash of the routes
// that are replayed, or empty.
void identify(record::RunInfo& run, const RunOptions& options, const std::string& weights,
              const std::optional<CollectiveProfile>& profile, const std::string& replayed);

}  // namespace shardrift
