// Gemma2ForCausalLM and Gemma3ForCausalLM: norms that multiply by 1 + w, before and after both blocks, the
// embedding scaled by sqrt(hidden), GELU, sliding and full layers. Gemma 2 caps scores and logits; Gemma 3
// norms each head's query and key, and its sliding layers have a rope of their own.
#include "weights/architectures/gemma.hpp"

#include <array>
#include <cmath>

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.input_layernorm.weight"},
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
    TensorName{Part::mlp_norm, "model.layers.{}.pre_feedforward_layernorm.weight"},
    TensorName{Part::mlp_norm_after, "model.layers.{}.post_feedforward_layernorm.weight"},
    TensorName{Part::gate, "model.layers.{}.mlp.gate_proj.weight"},
    TensorName{Part::up, "model.layers.{}.mlp.up_proj.weight"},
    TensorName{Part::down, "model.layers.{}.mlp.down_proj.weight"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "lm_head.weight"},
};

// What both share, but rope, windows and norms of queries and keys.
LayerSpec describe_common(const JsonObject& config, ModelConfig& model) {
  refuse_set(config, {"use_bidirectional_attention"}, "this version's attention is causal");
  read_sizes(config, model);
  read_heads(config, model);
  model.norm = NormKind::one_plus;
  model.embedding_scale = std::sqrt(static_cast<double>(model.hidden));
  model.embedding_scale_rounds = true;
  model.logits_softcap =
      config.get("final_logit_softcapping") == nullptr ? 0 : config.positive("final_logit_softcapping");
  LayerSpec layer;
  for (const Block block : kBlocks) layer[block].norm_after = true;
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = config.flag("attention_bias");
  layer.activation = read_activation(config, "hidden_activation", "gelu_pytorch_tanh");
  layer.score_scale = 1 / std::sqrt(config.positive("query_pre_attn_scalar"));
  return layer;
}

// Absent keys are those of transformers' Gemma2Config and Gemma3TextConfig.
void describe_gemma2(const JsonObject& given, ModelConfig& model) {
  const auto all =
      with_defaults(given, R"({"vocab_size": 256000, "hidden_size": 2304, "intermediate_size": 9216,
    "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "max_position_embeddings": 8192, "tie_word_embeddings": true, "query_pre_attn_scalar": 256,
    "sliding_window": 4096, "final_logit_softcapping": 30.0, "attn_logit_softcapping": 50.0})");
  const JsonObject config(all, given.where());
  LayerSpec layer = describe_common(config, model);
  layer.score_softcap =
      config.get("attn_logit_softcapping") == nullptr ? 0 : config.positive("attn_logit_softcapping");
  layer.rope = read_rope(config, model);
  for (const bool slides :
       read_layer_types(config, model, [](std::int64_t index) { return index % 2 == 0; })) {
    layer.window = slides ? window_of_sliding_layer(config) : 0;
    model.specs.push_back(layer);
  }
}

void describe_gemma3(const JsonObject& given, ModelConfig& model) {
  const auto all =
      with_defaults(given, R"({"vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216,
    "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    "max_position_embeddings": 131072, "tie_word_embeddings": true, "query_pre_attn_scalar": 256,
    "sliding_window": 4096, "sliding_window_pattern": 6})");
  const JsonObject config(all, given.where());
  LayerSpec layer = describe_common(config, model);
  layer.query_key_norm = QueryKeyNorm::per_head;
  // transformers' Gemma3Attention reads attn_logit_softcapping and does not use it. max_position_embeddings
  // is the context with what the full layers' rope extends it by.
  const LayerRopes ropes = read_layer_ropes(
      config, model, {.sliding = {.theta = 1e4}, .full = {.theta = 1e6}}, "rope_local_base_freq");
  const std::int64_t pattern = config.size("sliding_window_pattern", 6);
  for (const bool slides :
       read_layer_types(config, model, [&](std::int64_t index) { return (index + 1) % pattern != 0; })) {
    layer.window = slides ? window_of_sliding_layer(config) : 0;
    layer.rope = slides ? ropes.sliding : ropes.full;
    model.specs.push_back(layer);
  }
}

}  // namespace

const Architecture kGemma2{"Gemma2ForCausalLM", "gemma2", describe_gemma2, kTensors};
const Architecture kGemma3{"Gemma3ForCausalLM", "gemma3_text", describe_gemma3, kTensors};

}  // namespace shardrift
