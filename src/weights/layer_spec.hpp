// What one layer is made of. An architecture's file (weights/architectures) reads config.json into it; the
// loader and the forward pass do what it says and know no architecture.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

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

// Rotary position embedding of queries and keys. The kinds, by config.json's rope_type; formulas are those of
// transformers' modeling_rope_utils.py.
struct RopeConfig {
  struct Linear {  // frequencies divided by the factor
    double factor = 1.0;
    bool operator==(const Linear&) const = default;
  };
  // NTK: a larger theta for sequences of more than original_length tokens. Depends on how long the row's own
  // sequence is at that forward call; cached keys stay as they were rotated.
  struct Dynamic {
    double factor = 1.0;
    std::int64_t original_length = 0;
    bool operator==(const Dynamic&) const = default;
  };
  struct Yarn {  // high frequencies stay, low ones are divided by the factor, a ramp over dimensions between
    double factor = 1.0;
    double beta_fast = 32.0;
    double beta_slow = 1.0;
    double original_length = 0;
    bool truncate = true;  // the ramp's ends to whole dimensions
    bool operator==(const Yarn&) const = default;
  };
  struct Llama3 {
    double factor = 8.0;
    double low_freq_factor = 1.0;
    double high_freq_factor = 4.0;
    double original_max_position_embeddings = 8192;
    bool operator==(const Llama3&) const = default;
  };
  // A divisor for each frequency; other ones for sequences of more than original_length tokens, counted as
  // dynamic does.
  struct LongRope {
    std::vector<double> short_factors, long_factors;
    std::int64_t original_length = 0;
    bool operator==(const LongRope&) const = default;
  };

  double theta = 10000.0;
  std::variant<std::monostate, Linear, Dynamic, Yarn, Llama3, LongRope> scaling;
  std::int64_t rotated = 0;       // of a head's elements the first so many, an even number; 0: all
  double attention_factor = 1.0;  // of cosines and sines (yarn, longrope)
  bool operator==(const RopeConfig&) const = default;
};

// act(gate) · up; clamped_swish, with a limit l: g · sigmoid(1.702 g) · (u + 1) of g = min(gate, l) and u =
// up clamped to [-l, l].
enum class Activation { silu, gelu_tanh, gelu, clamped_swish };
enum class QueryKeyNorm { none, per_head, per_row };  // RMS norm of queries and keys before rope

// How an RMS norm of x with mean square m multiplies by its weights w; n = x · rsqrt(m + eps).
enum class NormKind {
  rounded,    // w · round(n), as Llama: n is rounded to the model's dtype first
  unrounded,  // round(w · n), as OLMo2
  one_plus,   // round((1 + w) · n), as Gemma
};

// How the router's logits become the weights of the experts chosen: those with the largest logits, the lowest
// id first at ties.
enum class RouteWeights {
  softmax,               // over all experts
  softmax_renormalized,  // the same, divided by the sum of the chosen ones'
  softmax_of_chosen,     // over the chosen ones' logits
};

// A mixture of experts in place of a layer's dense MLP: each row goes through `active` of them.
struct ExpertsSpec {
  std::int64_t count = 0;         // 0: one dense MLP
  std::int64_t active = 0;        // of each row, 1 to count
  std::int64_t intermediate = 0;  // of each expert
  RouteWeights weights = RouteWeights::softmax_renormalized;
  bool router_bias = false;
  bool operator==(const ExpertsSpec&) const = default;
};

struct LayerSpec {
  std::array<BlockSpec, kBlocks.size()> blocks;
  QueryKeyNorm query_key_norm = QueryKeyNorm::none;
  std::int64_t window = 0;  // keys with position > query position - window; 0: all
  RopeConfig rope;
  bool sinks = false;  // a logit of each query head that takes part in its softmax and has no value
  Activation activation = Activation::silu;
  double activation_limit = 0;  // of clamped_swish
  ExpertsSpec experts;
  double score_scale = 0;          // of q · k; 0: 1 / sqrt(head_dim)
  double score_softcap = 0;        // c · tanh(score / c) of the scaled score; 0: none
  double residual_multiplier = 1;  // of a block's sum
  const BlockSpec& operator[](Block block) const { return blocks[static_cast<std::size_t>(block)]; }
  BlockSpec& operator[](Block block) { return blocks[static_cast<std::size_t>(block)]; }
  bool operator==(const LayerSpec&) const = default;
};

}  // namespace shardrift
