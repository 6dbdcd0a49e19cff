#include "weights/part.hpp"

namespace shardrift {

PartShape shape_of(const ModelConfig& model, Part part, std::int64_t layer) {
  const std::int64_t queries = model.query_heads * model.head_dim;
  const std::int64_t keys = model.kv_heads * model.head_dim;
  const LayerSpec& spec = model.specs.at(static_cast<std::size_t>(layer));
  switch (part) {
    case Part::embedding:
    case Part::head:
      return {model.vocabulary, model.hidden};
    case Part::query:
      return {queries, model.hidden};
    case Part::key:
    case Part::value:
      return {keys, model.hidden};
    case Part::query_norm:
    case Part::key_norm:
      if (spec.query_key_norm == QueryKeyNorm::per_row)
        return {1, part == Part::query_norm ? queries : keys, true};
      return {1, model.head_dim, true};
    case Part::query_bias:
      return {queries, 1, true};
    case Part::key_bias:
    case Part::value_bias:
      return {keys, 1, true};
    case Part::attention_output:
      return {model.hidden, queries};
    case Part::gate:
    case Part::up:
      return {model.intermediate, model.hidden};
    case Part::gate_bias:
    case Part::up_bias:
      return {model.intermediate, 1, true};
    case Part::down:
      return {model.hidden, model.intermediate};
    case Part::sinks:
      return {1, model.query_heads, true};
    case Part::router:
      return {spec.experts.count, model.hidden};
    case Part::router_bias:
      return {1, spec.experts.count, true};
    case Part::expert_gate:
    case Part::expert_up:
      return {spec.experts.intermediate, model.hidden};
    case Part::expert_gate_bias:
    case Part::expert_up_bias:
      return {spec.experts.intermediate, 1, true};
    case Part::expert_down:
      return {model.hidden, spec.experts.intermediate};
    case Part::attention_norm:
    case Part::attention_norm_after:
    case Part::attention_output_bias:
    case Part::mlp_norm:
    case Part::mlp_norm_after:
    case Part::down_bias:
    case Part::expert_down_bias:
    case Part::final_norm:
      break;
  }
  return {1, model.hidden, true};
}

}  // namespace shardrift
