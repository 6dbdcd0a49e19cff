// The matrices a model is made of, by what they are to the forward pass. Shapes are those of the unsharded
// model.
#pragma once
#include <cstdint>

#include "weights/model_config.hpp"

namespace shardrift {

enum class Part {
  embedding,       // [vocabulary, hidden]
  attention_norm,  // [1, hidden], as all norms and output biases
  attention_norm_after,
  query,  // [query_heads · head_dim, hidden]
  key,    // [kv_heads · head_dim, hidden]
  value,
  query_norm,  // [1, head_dim], or [1, query_heads · head_dim] where the norm is per_row; key_norm alike
  key_norm,
  query_bias,  // [query_heads · head_dim, 1], as many rows as its matrix; key, value, gate and up alike
  key_bias,
  value_bias,
  attention_output,  // [hidden, query_heads · head_dim]
  attention_output_bias,
  mlp_norm,
  mlp_norm_after,
  gate,  // [intermediate, hidden]
  up,
  gate_bias,
  up_bias,
  down,  // [hidden, intermediate]
  down_bias,
  sinks,        // [1, query_heads]
  router,       // [experts, hidden]
  router_bias,  // [1, experts]
  expert_gate,  // of one expert, from here …: [experts.intermediate, hidden]
  expert_up,
  expert_gate_bias,
  expert_up_bias,
  expert_down,       // [hidden, experts.intermediate]
  expert_down_bias,  // … to here
  final_norm,
  head,  // [vocabulary, hidden]
};

struct PartShape {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  bool vector = false;  // stored with one dimension
};
PartShape shape_of(const ModelConfig& model, Part part, std::int64_t layer = 0);

constexpr bool is_expert_part(Part part) {
  return part >= Part::expert_gate && part <= Part::expert_down_bias;
}

}  // namespace shardrift
