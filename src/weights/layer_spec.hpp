// What one layer is made of. An architecture's file (weights/architectures) reads config.json into it; the
// loader and the forward pass do what it says and know no architecture.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace shardrift {

// The two blocks of a layer, in the order they run. Each reads the residual stream and adds one sum to it.
enum class Block { attention, mlp };
inline constexpr std::array kBlocks{Block::attention, Block::mlp};

struct BlockSpec {
  bool norm_before = true;  // RMS norm of the stream is the block's input; false: the stream itself
  bool norm_after = false;  // RMS norm of the block's sum, before it is added to the stream
  bool input_bias = false;  // of the column-parallel linears (q, k, v; gate, up): sliced as their rows are
  bool output_bias =
      false;  // of the row-parallel linear (o; down): added once, after the reduction has rounded
  bool operator==(const BlockSpec&) const = default;
};

struct RopeConfig {
  double theta = 10000.0;
  // llama3 scaling; absent: default rope. Every other type is refused by name.
  struct Llama3 {
    double factor = 8.0;
    double low_freq_factor = 1.0;
    double high_freq_factor = 4.0;
    double original_max_position_embeddings = 8192;
    bool operator==(const Llama3&) const = default;
  };
  std::optional<Llama3> llama3;
  bool operator==(const RopeConfig&) const = default;
};

enum class Activation { silu };                       // act(gate) · up
enum class QueryKeyNorm { none, per_head, per_row };  // RMS norm of queries and keys before rope

struct LayerSpec {
  std::array<BlockSpec, kBlocks.size()> blocks;
  QueryKeyNorm query_key_norm = QueryKeyNorm::none;
  std::int64_t window = 0;  // keys with position > query position - window; 0: all
  RopeConfig rope;
  Activation activation = Activation::silu;
  std::int64_t experts = 0;        // 0: one dense MLP
  double score_scale = 0;          // of q · k; 0: 1 / sqrt(head_dim)
  double residual_multiplier = 1;  // of a block's sum
  const BlockSpec& operator[](Block block) const { return blocks[static_cast<std::size_t>(block)]; }
  BlockSpec& operator[](Block block) { return blocks[static_cast<std::size_t>(block)]; }
  bool operator==(const LayerSpec&) const = default;
};

// The first thing in the description that this version's forward pass does not compute, in words; empty: it
// computes all.
std::string not_computed(const LayerSpec& layer);

}  // namespace shardrift
