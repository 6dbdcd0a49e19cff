// A description and the checkpoint it comes with: what the tensors say counts more than a flag.
#pragma once
#include <string>
#include <vector>

#include "weights/architectures/architecture.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {

// Unties the head where config.json ties it and the checkpoint has another one (as transformers does).
// Returns what the user should know, one sentence each: that, and the tensors that no part of the model uses.
std::vector<std::string> fit_to_checkpoint(ModelConfig& model, const Checkpoint& checkpoint);
std::vector<std::string> fit_to_checkpoint(ModelConfig& model, const Checkpoint& checkpoint,
                                           const Architecture& architecture);

}  // namespace shardrift
