// Phi3ForCausalLM (Phi-3, 3.5 and 4): Llama with one packed matrix for queries, keys and values and one for
// gates and ups, partly rotated heads, longrope.
#include "weights/architectures/phi3.hpp"

#include <array>

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.input_layernorm.weight"},
    TensorName{Part::query, "model.layers.{}.self_attn.qkv_proj.weight"},
    TensorName{Part::key, "model.layers.{}.self_attn.qkv_proj.weight"},
    TensorName{Part::value, "model.layers.{}.self_attn.qkv_proj.weight"},
    TensorName{Part::attention_output, "model.layers.{}.self_attn.o_proj.weight"},
    TensorName{Part::mlp_norm, "model.layers.{}.post_attention_layernorm.weight"},
    TensorName{Part::gate, "model.layers.{}.mlp.gate_up_proj.weight"},
    TensorName{Part::up, "model.layers.{}.mlp.gate_up_proj.weight"},
    TensorName{Part::down, "model.layers.{}.mlp.down_proj.weight"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "lm_head.weight"},
};

void describe(const JsonObject& given, ModelConfig& model) {
  // (The class's original_max_position_embeddings of 4096 counts where nothing else gives one.)
  auto all = with_defaults(given, R"({"rms_norm_eps": 1e-5})");
  const auto gives_length = [&](const char* key) {
    const auto rope = given.object(key);
    return rope && rope->get("original_max_position_embeddings") != nullptr;
  };
  if (!gives_length("rope_scaling") && !gives_length("rope_parameters"))
    all.emplace("original_max_position_embeddings", 4096);
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec layer;
  layer.rope = read_rope(config, model, {.whole_heads = false, .yarn_is_longrope = true});
  layer.activation = read_activation(config);
  layer.window = config.get("sliding_window") == nullptr ? 0 : config.size("sliding_window");
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

// Queries, then keys, then values; gates, then ups.
PackedRows packed(const ModelConfig& model, Part part) {
  const std::int64_t queries = model.query_heads * model.head_dim, keys = model.kv_heads * model.head_dim;
  switch (part) {
    case Part::query:
      return {queries + 2 * keys, {{0, queries}}};
    case Part::key:
      return {queries + 2 * keys, {{queries, queries + keys}}};
    case Part::value:
      return {queries + 2 * keys, {{queries + keys, queries + 2 * keys}}};
    case Part::gate:
      return {2 * model.intermediate, {{0, model.intermediate}}};
    case Part::up:
      return {2 * model.intermediate, {{model.intermediate, 2 * model.intermediate}}};
    default:
      return {};
  }
}

}  // namespace

const Architecture kPhi3{"Phi3ForCausalLM", "phi3", describe, kTensors, packed};

}  // namespace shardrift
