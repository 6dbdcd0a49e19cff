// Gemma2ForCausalLM and Gemma3ForCausalLM: norms that multiply by 1 + w, before and after both blocks, the
// embedding scaled by sqrt(hidden), GELU, sliding and full layers. Gemma 2 caps scores and logits; Gemma 3
// norms each head's query and key, and its sliding layers have a rope of their own.
#include "weights/architectures/gemma.hpp"

#include <cmath>

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

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

const Architecture kGemma2{"Gemma2ForCausalLM", "gemma2", describe_gemma2, kFourNormTensors};
const Architecture kGemma3{"Gemma3ForCausalLM", "gemma3_text", describe_gemma3, kFourNormTensors};

}  // namespace shardrift
