// A model's description in words, for people and scripts: what it is made of beside sizes.
#pragma once
#include <string>
#include <vector>

#include "weights/model_config.hpp"

namespace shardrift {

std::string describe(const RopeConfig& rope);  // "theta 10000", "theta 500000, llama3 factor 8"

// Layers that are made alike.
struct LayerKind {
  std::vector<std::int64_t> layers;  // ascending
  std::int64_t window = 0;           // 0: all keys
  std::string rope;
  std::vector<std::string> parts;  // norms after the blocks, biases, norms of queries and keys, …
};
std::vector<LayerKind> layer_kinds(const ModelConfig& config);  // in the order of their first layers

std::string ranges_of(const std::vector<std::int64_t>& numbers);  // "0-4, 6-10"

// What the model does outside its layers that Llama does not: scales, softcaps, other norms.
std::vector<std::string> special_parts(const ModelConfig& config);

}  // namespace shardrift
