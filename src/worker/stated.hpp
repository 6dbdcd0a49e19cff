// What the ranks of a run must have alike, as this rank has it: for require_agreement.
#pragma once
#include <string>
#include <vector>

#include "options/pinning.hpp"
#include "options/run_options.hpp"
#include "parallel/transport/agreement.hpp"
#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"
#include "worker/rank_device.hpp"

namespace shardrift {

inline const std::string kSameCommand = "start all ranks with one command line";
inline const std::string kSameModel = "give all ranks the same model";
inline const std::string kSameMachine = "give all ranks the same software and settings";

std::vector<Stated> stated_pinning(const Pinning& pinning);
// Variables of the environment that choose algorithms or kernels, and with them bits.
std::vector<Stated> stated_variables();
// The run's flags, but for those that change neither bits nor files (threads, progress), and those whose
// content counts and not the path (model, profile).
std::vector<Stated> stated_options(const RunOptions& options);
std::vector<Stated> stated_config(const RunOptions& options, const ModelConfig& config);
std::vector<Stated> stated_tensors(const RunOptions& options, const Checkpoint& checkpoint);
// Versions of this program and its libraries, and which kernels they choose.
std::vector<Stated> stated_libraries(const RankDevice& device, Device kind);

}  // namespace shardrift
