// InternLM2ForCausalLM (InternLM2 and 2.5): Llama under other names, with one packed matrix for queries, keys
// and values: for each KV head its query heads, then its key, then its value.
#include "weights/architectures/internlm2.hpp"

#include <array>

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.tok_embeddings.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.attention_norm.weight"},
    TensorName{Part::query, "model.layers.{}.attention.wqkv.weight"},
    TensorName{Part::key, "model.layers.{}.attention.wqkv.weight"},
    TensorName{Part::value, "model.layers.{}.attention.wqkv.weight"},
    TensorName{Part::query_bias, "model.layers.{}.attention.wqkv.bias"},
    TensorName{Part::key_bias, "model.layers.{}.attention.wqkv.bias"},
    TensorName{Part::value_bias, "model.layers.{}.attention.wqkv.bias"},
    TensorName{Part::attention_output, "model.layers.{}.attention.wo.weight"},
    TensorName{Part::attention_output_bias, "model.layers.{}.attention.wo.bias"},
    TensorName{Part::mlp_norm, "model.layers.{}.ffn_norm.weight"},
    TensorName{Part::gate, "model.layers.{}.feed_forward.w1.weight"},
    TensorName{Part::up, "model.layers.{}.feed_forward.w3.weight"},
    TensorName{Part::down, "model.layers.{}.feed_forward.w2.weight"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "output.weight"},
};

void describe(const JsonObject& config, ModelConfig& model) {
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec layer;
  layer.rope = read_rope(config, model);
  layer.activation = read_activation(config);
  // configuration_internlm2.py: bias defaults to true, and every released config.json says false.
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = config.flag("bias", true);
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

PackedRows packed(const ModelConfig& model, Part part) {
  const std::int64_t dim = model.head_dim;
  const std::int64_t queries = model.query_heads / model.kv_heads;  // of a group
  const bool query = part == Part::query || part == Part::query_bias;
  const bool key = part == Part::key || part == Part::key_bias;
  if (!query && !key && part != Part::value && part != Part::value_bias) return {};
  PackedRows rows{.tensor_rows = model.kv_heads * (queries + 2) * dim, .rows = {}};
  for (std::int64_t group = 0; group < model.kv_heads; ++group) {
    const std::int64_t first = group * (queries + 2);  // in heads
    const std::int64_t begin = query ? first : first + queries + (key ? 0 : 1);
    rows.rows.push_back({begin * dim, (begin + (query ? queries : 1)) * dim});
  }
  return rows;
}

}  // namespace

const Architecture kInternLm2{"InternLM2ForCausalLM", "internlm2", describe, kTensors, packed};

}  // namespace shardrift
