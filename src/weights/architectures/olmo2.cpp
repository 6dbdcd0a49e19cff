// Olmo2ForCausalLM: no norms before the blocks but after them, and norms over the whole row of queries and of
// keys.
#include "weights/architectures/olmo2.hpp"

#include <array>

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm_after, "model.layers.{}.post_attention_layernorm.weight"},
    TensorName{Part::query, "model.layers.{}.self_attn.q_proj.weight"},
    TensorName{Part::key, "model.layers.{}.self_attn.k_proj.weight"},
    TensorName{Part::value, "model.layers.{}.self_attn.v_proj.weight"},
    TensorName{Part::query_norm, "model.layers.{}.self_attn.q_norm.weight"},
    TensorName{Part::key_norm, "model.layers.{}.self_attn.k_norm.weight"},
    TensorName{Part::query_bias, "model.layers.{}.self_attn.q_proj.bias"},
    TensorName{Part::key_bias, "model.layers.{}.self_attn.k_proj.bias"},
    TensorName{Part::value_bias, "model.layers.{}.self_attn.v_proj.bias"},
    TensorName{Part::attention_output, "model.layers.{}.self_attn.o_proj.weight"},
    TensorName{Part::attention_output_bias, "model.layers.{}.self_attn.o_proj.bias"},
    TensorName{Part::mlp_norm_after, "model.layers.{}.post_feedforward_layernorm.weight"},
    TensorName{Part::gate, "model.layers.{}.mlp.gate_proj.weight"},
    TensorName{Part::up, "model.layers.{}.mlp.up_proj.weight"},
    TensorName{Part::down, "model.layers.{}.mlp.down_proj.weight"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "lm_head.weight"},
};

void describe(const JsonObject& given, ModelConfig& model) {
  const auto all = with_defaults(given, R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 2048})");
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  model.norm = NormKind::unrounded;
  LayerSpec layer;
  for (const Block block : kBlocks) {
    layer[block].norm_before = false;
    layer[block].norm_after = true;
  }
  layer.query_key_norm = QueryKeyNorm::per_row;
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = config.flag("attention_bias");
  layer.rope = read_rope(config, model);
  layer.activation = read_activation(config);
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

}  // namespace

const Architecture kOlmo2{"Olmo2ForCausalLM", "olmo2", describe, kTensors};

}  // namespace shardrift
