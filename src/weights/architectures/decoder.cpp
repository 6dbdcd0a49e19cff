#include "weights/architectures/decoder.hpp"

#include <algorithm>
#include <array>

#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.input_layernorm.weight"},
    TensorName{Part::query_norm, "model.layers.{}.self_attn.q_norm.weight"},
    TensorName{Part::key_norm, "model.layers.{}.self_attn.k_norm.weight"},
    TensorName{Part::query, "model.layers.{}.self_attn.q_proj.weight"},
    TensorName{Part::key, "model.layers.{}.self_attn.k_proj.weight"},
    TensorName{Part::value, "model.layers.{}.self_attn.v_proj.weight"},
    TensorName{Part::query_bias, "model.layers.{}.self_attn.q_proj.bias"},
    TensorName{Part::key_bias, "model.layers.{}.self_attn.k_proj.bias"},
    TensorName{Part::value_bias, "model.layers.{}.self_attn.v_proj.bias"},
    TensorName{Part::attention_output, "model.layers.{}.self_attn.o_proj.weight"},
    TensorName{Part::attention_output_bias, "model.layers.{}.self_attn.o_proj.bias"},
    TensorName{Part::mlp_norm, "model.layers.{}.post_attention_layernorm.weight"},
    TensorName{Part::gate, "model.layers.{}.mlp.gate_proj.weight"},
    TensorName{Part::up, "model.layers.{}.mlp.up_proj.weight"},
    TensorName{Part::gate_bias, "model.layers.{}.mlp.gate_proj.bias"},
    TensorName{Part::up_bias, "model.layers.{}.mlp.up_proj.bias"},
    TensorName{Part::down, "model.layers.{}.mlp.down_proj.weight"},
    TensorName{Part::down_bias, "model.layers.{}.mlp.down_proj.bias"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "lm_head.weight"},
};

constexpr std::array kFourNorms{
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

}  // namespace

constinit const std::span<const TensorName> kDecoderTensors = kTensors;
constinit const std::span<const TensorName> kFourNormTensors = kFourNorms;

nlohmann::json with_defaults(const JsonObject& config, const char* defaults) {
  auto all = config.json();
  const auto given = nlohmann::json::parse(defaults);
  for (const auto& [key, value] : given.items())
    if (!all.contains(key)) all[key] = value;
  return all;
}

void read_sizes(const JsonObject& config, ModelConfig& model) {
  model.hidden = config.size("hidden_size");
  model.intermediate = config.size("intermediate_size");
  model.layers = config.size("num_hidden_layers");
  if (model.layers > kMostLayers)  // each has a description
    throw config.wrong("num_hidden_layers", model.layers,
                       fmt::format("at most {} are expected", kMostLayers));
  model.vocabulary = config.size("vocab_size");
  model.max_positions = config.size("max_position_embeddings");
  model.rms_norm_eps = config.positive("rms_norm_eps", model.rms_norm_eps);
  model.tied_head = config.flag("tie_word_embeddings");
}

void read_heads(const JsonObject& config, ModelConfig& model) {
  model.query_heads = config.size("num_attention_heads");
  model.kv_heads = config.size("num_key_value_heads", model.query_heads);
  if (model.query_heads % model.kv_heads != 0) {
    throw bad_data("{}: num_attention_heads is {}, not a multiple of num_key_value_heads, {}", config.where(),
                   model.query_heads, model.kv_heads);
  }
  if (config.get("head_dim") == nullptr && model.hidden % model.query_heads != 0) {
    throw bad_data(
        "{}: hidden_size is {}, not a multiple of num_attention_heads, {}, and there is no head_dim",
        config.where(), model.hidden, model.query_heads);
  }
  model.head_dim = config.size("head_dim", std::max<std::int64_t>(1, model.hidden / model.query_heads));
  if (model.head_dim % 2 != 0) {
    throw bad_data("{}: head_dim is {}; rope rotates pairs, so it must be even", config.where(),
                   model.head_dim);
  }
}

Activation read_activation(const JsonObject& config, const char* key, const char* otherwise) {
  const auto name = config.text(key, otherwise);
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu_pytorch_tanh") return Activation::gelu_tanh;
  if (name == "gelu") return Activation::gelu;
  throw config.wrong(key, name, "this version computes silu, gelu and gelu_pytorch_tanh");
}

std::vector<bool> read_layer_types(const JsonObject& config, const ModelConfig& model,
                                   const std::function<bool(std::int64_t)>& absent) {
  constexpr const char* kKey = "layer_types";
  std::vector<bool> slides;
  if (config.get(kKey) == nullptr) {
    for (std::int64_t layer = 0; layer < model.layers; ++layer) slides.push_back(absent(layer));
    return slides;
  }
  const auto& types = config.list(kKey);
  if (static_cast<std::int64_t>(types.size()) != model.layers)
    throw bad_data("{}: {} names {} layers, num_hidden_layers is {}", config.where(), kKey, types.size(),
                   model.layers);
  for (const auto& type : types) {
    const auto name = config.text_of(kKey, type);
    if (name != "sliding_attention" && name != "full_attention")
      throw config.wrong(kKey, type, "this version computes sliding_attention and full_attention");
    slides.push_back(name == "sliding_attention");
  }
  return slides;
}

std::int64_t window_of_sliding_layer(const JsonObject& config) {
  if (config.get("sliding_window") == nullptr)
    throw bad_data("{}: layers slide (layer_types), but sliding_window is null or missing", config.where());
  return config.size("sliding_window");
}

std::int64_t window_of_all_layers(const JsonObject& config, const ModelConfig& model, bool slides) {
  for (const bool layer_slides : read_layer_types(config, model, [&](std::int64_t) { return slides; }))
    if (layer_slides != slides)
      throw config.wrong("layer_types", *config.get("layer_types"),
                         fmt::format("{} has a window in all layers or in none; here it has {}",
                                     model.architecture, slides ? "one" : "none"));
  return slides ? window_of_sliding_layer(config) : 0;
}

void refuse_set(const JsonObject& config, std::initializer_list<const char*> flags, std::string_view why) {
  for (const auto* flag : flags)
    if (config.flag(flag)) throw config.wrong(flag, true, why);
}

}  // namespace shardrift
