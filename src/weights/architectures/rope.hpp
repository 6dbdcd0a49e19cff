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
// where each fills in what the others leave out. model: head_dim and max_positions, read before. A kind that
// extends the context (linear, dynamic, yarn) raises max_positions.
RopeConfig read_rope(const JsonObject& config, ModelConfig& model, const RopeDefaults& defaults = {});

// Adds one spelling's keys to those read before; null is absent. What both give must have one value
// (bad_data).
void fill_in_rope(nlohmann::json& all, const JsonObject& spelling);

// rope_parameters of one layer type ("full_attention"): an object of kind, theta and parameters.
RopeConfig read_rope_parameters(const JsonObject& parameters, const ModelConfig& model,
                                const RopeDefaults& defaults = {});

}  // namespace shardrift
