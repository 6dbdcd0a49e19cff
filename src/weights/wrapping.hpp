// How a multimodal wrapper's checkpoint spells the tensors of its text model: under a prefix, beside tensors
// of vision or audio, which this program does not use.
#pragma once
#include <string>
#include <string_view>

#include "weights/model_config.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {

struct Wrapping {
  std::string_view model;  // what stands for "model." in the text model's own names
  std::string_view head;   // before names without "model."
};

// Found by where the embedding lies. Not a wrapper, or one whose spelling is not known: the text model's own.
Wrapping wrapping_of(const ModelConfig& model, const Checkpoint& checkpoint);
// name: as the text model alone spells it.
std::string wrapped(const Wrapping& wrapping, std::string name);
// Belongs to a text model, used or not: of a wrapper's tensors those under any known prefix of one.
bool in_text_model(const Wrapping& wrapping, std::string_view name);

}  // namespace shardrift
