#include "weights/architectures/decoder.hpp"

#include <algorithm>
#include <array>

#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.input_layernorm.weight"},
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

RopeConfig::Llama3 read_llama3(const JsonObject& reader) {
  RopeConfig::Llama3 llama3;
  llama3.factor = reader.positive("factor");
  llama3.low_freq_factor = reader.positive("low_freq_factor");
  llama3.high_freq_factor = reader.positive("high_freq_factor");
  llama3.original_max_position_embeddings = reader.positive("original_max_position_embeddings");
  if (llama3.high_freq_factor <= llama3.low_freq_factor) {
    throw reader.wrong("high_freq_factor", llama3.high_freq_factor,
                       fmt::format("more than low_freq_factor ({}) is expected", llama3.low_freq_factor));
  }
  return llama3;
}

}  // namespace

constinit const std::span<const TensorName> kDecoderTensors = kTensors;

void read_sizes(const JsonObject& config, ModelConfig& model) {
  model.hidden = config.size("hidden_size");
  model.intermediate = config.size("intermediate_size");
  model.layers = config.size("num_hidden_layers");
  model.vocabulary = config.size("vocab_size");
  model.max_positions = config.size("max_position_embeddings");
  model.rms_norm_eps = config.positive("rms_norm_eps", model.rms_norm_eps);
  model.tied_head = config.flag("tie_word_embeddings");
}

void read_heads(const JsonObject& config, ModelConfig& model, std::int64_t kv_heads_absent) {
  model.query_heads = config.size("num_attention_heads");
  model.kv_heads =
      config.size("num_key_value_heads", kv_heads_absent > 0 ? kv_heads_absent : model.query_heads);
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

namespace {

// Adds one spelling's keys to those read before; null is absent. What both give must have one value.
void fill_in(nlohmann::json& all, const JsonObject& spelling) {
  for (const auto& [key, value] : spelling.json().items()) {
    if (value.is_null()) continue;
    const auto [known, fresh] = all.emplace(key, value);
    if (!fresh && *known != value)
      throw bad_data(
          "{}: {} is {}, but elsewhere it is {} (rope_theta, rope_scaling, rope_parameters): remove one of "
          "the two",
          spelling.where(), key, shown(value), shown(*known));
  }
}

}  // namespace

RopeConfig read_rope(const JsonObject& config) {
  // rope_theta and rope_scaling, or rope_parameters, or all of them where each fills in what the others leave
  // out.
  auto all = nlohmann::json::object();
  for (const char* key : {"rope_theta", "partial_rotary_factor"})
    if (const auto* value = config.get(key)) all[key] = *value;
  auto where = config.where();
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (const auto spelling = config.object(key)) {
      fill_in(all, *spelling);
      where = spelling->where();
    }
  }
  const JsonObject reader(all, where);
  RopeConfig rope;
  rope.theta = reader.positive("rope_theta", rope.theta);
  const char* type_key = reader.has("rope_type") ? "rope_type" : "type";  // type: before transformers 4.43
  const auto type = reader.text(type_key, "default");
  if (reader.text("type", type) != type)
    throw reader.wrong("type", *reader.get("type"),
                       fmt::format("rope_type is {}: remove one of the two", shown(type)));
  if (type == "llama3") {
    rope.llama3 = read_llama3(reader);
  } else if (type != "default") {
    throw reader.wrong(type_key, type, "this version computes default and llama3");
  }
  if (reader.positive("partial_rotary_factor", 1.0) != 1.0)
    throw reader.wrong("partial_rotary_factor", *reader.get("partial_rotary_factor"),
                       "this version rotates whole heads only");
  return rope;
}

Activation read_activation(const JsonObject& config) {
  const auto activation = config.text("hidden_act", "silu");
  if (activation != "silu") throw config.wrong("hidden_act", activation, "this version computes silu only");
  return Activation::silu;
}

void refuse_set(const JsonObject& config, std::initializer_list<const char*> flags, std::string_view why) {
  for (const auto* flag : flags)
    if (config.flag(flag)) throw config.wrong(flag, true, why);
}

}  // namespace shardrift
