// Rotary position embedding: what a RopeConfig's cosines and sines are.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "weights/model_config.hpp"

namespace shardrift {

struct RopeTables {
  std::int64_t pairs = 0;  // rotated elements of a head are elements 0 to 2 · pairs - 1
  // [1 or 2 tables][positions][pairs]; longrope's second one is of sequences beyond short_length tokens.
  std::vector<float> cosines;
  std::vector<float> sines;
  std::int64_t short_length = std::numeric_limits<std::int64_t>::max();
  std::vector<float> frequencies;  // dynamic: of lengths from short_length + 1 to positions, [lengths][pairs]
};

// Inverse frequencies [pairs] of a sequence of `length` tokens: theta^(-2i / rotated), scaled as the kind
// says. Formulas and float32 arithmetic as transformers' modeling_rope_utils.py, so that angles agree at long
// positions.
std::vector<float> rope_inverse_frequencies(const RopeConfig& rope, std::int64_t head_dim,
                                            std::int64_t length = 0);
RopeTables rope_tables(const RopeConfig& rope, std::int64_t head_dim, std::int64_t positions);

}  // namespace shardrift
