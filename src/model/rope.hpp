// Rotary position embedding tables.
#pragma once
#include <cstdint>
#include <vector>

#include "weights/model_config.hpp"

namespace shardrift {

struct RopeTables {  // [positions, head_dim / 2] each
  std::vector<float> cosines;
  std::vector<float> sines;
};

// Inverse frequencies theta^(-2i/head_dim), llama3-scaled where configured, [head_dim / 2].
// Formula and float32 arithmetic as transformers' modeling_rope_utils.py, so that angles agree at long
// positions.
std::vector<float> rope_inverse_frequencies(const RopeConfig& rope, std::int64_t head_dim);
RopeTables rope_tables(const RopeConfig& rope, std::int64_t head_dim, std::int64_t positions);

}  // namespace shardrift
