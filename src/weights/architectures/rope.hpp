// How config.json spells rotary position embedding.
#pragma once
#include <cstdint>

#include "common/json_reader.hpp"
#include "weights/model_config.hpp"

namespace shardrift {

// What an architecture has where config.json is silent.
struct RopeDefaults {
  double theta = 10000.0;
  bool whole_heads = true;  // partial_rotary_factor other than 1 is refused, as transformers fails with it
  bool yarn_is_longrope = false;  // Phi-3's older files call longrope "su" or "yarn"
};

// All layers' rope, from both spellings: rope_theta and rope_scaling, or rope_parameters, or all of them
// where each fills in what the others leave out. model: head_dim and max_positions, read before. Extends the
// context.
RopeConfig read_rope(const JsonObject& config, ModelConfig& model, const RopeDefaults& defaults = {});

// One rope for the layers with a window and one for the others.
template <typename Rope>
struct ByLayerType {
  Rope sliding, full;
};
using LayerRopes = ByLayerType<RopeConfig>;

// From rope_parameters by layer type ("full_attention"), or rope_theta with rope_scaling (full layers) and
// sliding_theta (that key's name; null: there is none), or all of them as above. Leaves max_positions.
LayerRopes read_layer_ropes(const JsonObject& config, const ModelConfig& model,
                            const ByLayerType<RopeDefaults>& defaults, const char* sliding_theta = nullptr);

// Raises max_positions where the kind extends the context: linear, dynamic, yarn.
void extend_context(const RopeConfig& rope, ModelConfig& model);

}  // namespace shardrift
