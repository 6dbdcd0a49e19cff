// What most decoders of Hugging Face share: keys of config.json and names of tensors.
#pragma once
#include <initializer_list>

#include "weights/architectures/architecture.hpp"

namespace shardrift {

extern const std::span<const TensorName> kDecoderTensors;

// hidden, intermediate, layers, vocabulary, max_positions, rms_norm_eps, tied_head.
void read_sizes(const JsonObject& config, ModelConfig& model);
// query_heads, kv_heads, head_dim. kv_heads_absent: num_key_value_heads where it is absent or null; 0: as
// many as query heads.
void read_heads(const JsonObject& config, ModelConfig& model, std::int64_t kv_heads_absent = 0);
// Both spellings: rope_theta and rope_scaling, or rope_parameters.
RopeConfig read_rope(const JsonObject& config);
Activation read_activation(const JsonObject& config);
// Flags that are true ask for what the architecture, or this version of it, does not compute.
void refuse_set(const JsonObject& config, std::initializer_list<const char*> flags, std::string_view why);

}  // namespace shardrift
