// What most decoders of Hugging Face share: keys of config.json and names of tensors.
#pragma once
#include <functional>
#include <initializer_list>
#include <vector>

#include "weights/architectures/architecture.hpp"
#include "weights/architectures/rope.hpp"

namespace shardrift {

extern const std::span<const TensorName> kDecoderTensors;
// Of layers with norms before and after their blocks (or after them alone).
extern const std::span<const TensorName> kFourNormTensors;

// The config with the values that transformers' configuration class has for absent keys (absent, not null):
// files are written without what equals them. defaults: a JSON object.
nlohmann::json with_defaults(const JsonObject& config, const char* defaults);

// What no model comes near: more would be room for descriptions of layers that no file can hold.
constexpr std::int64_t kMostLayers = 10000;

// hidden, intermediate, layers, vocabulary, max_positions, rms_norm_eps, tied_head.
void read_sizes(const JsonObject& config, ModelConfig& model);
// query_heads, kv_heads (absent: as many), head_dim (absent: hidden / query_heads).
void read_heads(const JsonObject& config, ModelConfig& model);
Activation read_activation(const JsonObject& config, const char* key = "hidden_act",
                           const char* otherwise = "silu");
// Of each layer: whether its attention slides (layer_types, or where that is absent what `absent` says).
std::vector<bool> read_layer_types(const JsonObject& config, const ModelConfig& model,
                                   const std::function<bool(std::int64_t layer)>& absent);
// sliding_window, of a layer that slides: it has to be there.
std::int64_t window_of_sliding_layer(const JsonObject& config);
// The window of an architecture that has it in all layers or in none; 0: none. What layer_types says
// otherwise is refused.
std::int64_t window_of_all_layers(const JsonObject& config, const ModelConfig& model, bool slides);
// Flags that are true ask for what the architecture, or this version of it, does not compute.
void refuse_set(const JsonObject& config, std::initializer_list<const char*> flags, std::string_view why);

}  // namespace shardrift
