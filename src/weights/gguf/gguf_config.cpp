#include "weights/gguf/gguf_config.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "weights/architectures/decoder.hpp"
#include "weights/gguf/gguf_rope.hpp"

namespace shardrift {
namespace {

// Reads "ARCHITECTURE.key".
class Keys {
 public:
  explicit Keys(const GgufModel& model)
      : metadata_(model.metadata()), prefix_(std::string(model.architecture().name) + ".") {}

  std::string name(const char* key) const { return prefix_ + key; }
  std::optional<std::int64_t> integer(const char* key) const {
    return metadata_.integer_of_layers(name(key));
  }
  std::int64_t required(const char* key) const {
    const auto value = integer(key);
    if (!value) throw bad_data("{}: key {} is missing", metadata_.file(), name(key));
    return *value;
  }
  std::optional<double> number(const char* key) const { return metadata_.number(name(key)); }
  double required_number(const char* key) const {
    const auto value = number(key);
    if (!value) throw bad_data("{}: key {} is missing", metadata_.file(), name(key));
    return *value;
  }
  const GgufMetadata& metadata() const { return metadata_; }

 private:
  const GgufMetadata& metadata_;
  std::string prefix_;
};

// Keys that change what is computed, where a model has them: each is read by its architecture's function
// below, or refused.
void refuse_others(const Keys& keys, const std::vector<std::string>& read) {
  for (const char* key : {"attention.scale",
                          "attention.clamp_kqv",
                          "attention.max_alibi_bias",
                          "attention.layer_norm_epsilon",
                          "attn_logit_softcapping",
                          "final_logit_softcapping",
                          "router_logit_softcapping",
                          "logit_scale",
                          "residual_scale",
                          "embedding_scale",
                          "attention.sliding_window",
                          "attention.q_lora_rank",
                          "attention.kv_lora_rank",
                          "attention.temperature_length",
                          "attention.temperature_scale",
                          "expert_shared_count",
                          "expert_shared_feed_forward_length",
                          "expert_weights_scale",
                          "leading_dense_block_count",
                          "nextn_predict_layers",
                          "rope.scale_linear",
                          "rope.dimension_sections",
                          "expert_count"}) {
    if (std::find(read.begin(), read.end(), key) != read.end()) continue;
    const auto name = keys.name(key);
    if (!keys.metadata().has(name)) continue;
    if (keys.metadata().is_array(name))
      throw bad_data("{}: key {}: this version does not compute what it asks for", keys.metadata().file(),
                     name);
    const bool factor = name.find("scale") != std::string::npos;  // one changes nothing
    if (const auto value = keys.metadata().number(name); *value != 0 && !(factor && *value == 1))
      throw bad_data("{}: key {} is {}: this version does not compute what it asks for",
                     keys.metadata().file(), name, *value);
  }
  if (const auto causal = keys.metadata().flag(keys.name("attention.causal")); causal && !*causal)
    throw bad_data("{}: key {} is false: this version's attention is causal", keys.metadata().file(),
                   keys.name("attention.causal"));
}

bool has(const GgufModel& model, const char* ours) {
  return model.matrices().contains(ours);
}

// The dtype that most bytes of matrices have; what is quantized is decoded to float32.
const char* dtype_of(const GgufModel& model) {
  std::map<std::string_view, std::uint64_t> bytes;
  for (const auto& [name, matrix] : model.matrices())
    if (matrix.shape.size() > 1) bytes[matrix.type->name] += matrix.bytes;
  const auto most = std::max_element(bytes.begin(), bytes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == bytes.end()) return "float32";
  return most->first == "F16" ? "float16" : most->first == "BF16" ? "bfloat16" : "float32";
}

// The end of a text, and of a turn or message where the model marks these.
std::vector<std::int64_t> eos_ids(const GgufMetadata& metadata) {
  std::vector<std::int64_t> ids;
  for (const char* key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const auto id = metadata.integer(key); id && std::find(ids.begin(), ids.end(), *id) == ids.end())
      ids.push_back(*id);
  return ids;
}

// By layer_types' names: a flag a layer, or a period.
std::vector<bool> sliding_layers(const Keys& keys, std::int64_t layers, std::int64_t usual_period) {
  const auto key = keys.name("attention.sliding_window_pattern");
  std::vector<bool> slides;
  if (keys.metadata().is_array(key)) {
    const auto flags = keys.metadata().integers(key);
    for (const auto value : *flags) slides.push_back(value != 0);
    if (static_cast<std::int64_t>(slides.size()) < layers)
      throw bad_data("{}: key {} is of {} layers, there are {}", keys.metadata().file(), key, slides.size(),
                     layers);
    slides.resize(static_cast<std::size_t>(layers));
    return slides;
  }
  const auto period = keys.metadata().integer(key).value_or(usual_period);
  if (period < 1)
    throw bad_data("{}: key {} is {}, at least 1 is expected", keys.metadata().file(), key, period);
  for (std::int64_t layer = 0; layer < layers; ++layer) slides.push_back((layer + 1) % period != 0);
  return slides;
}

void set_layer_types(nlohmann::json& config, const std::vector<bool>& slides) {
  config["layer_types"] = nlohmann::json::array();
  for (const bool slide : slides)
    config["layer_types"].push_back(slide ? "sliding_attention" : "full_attention");
}

struct Read {
  const GgufModel& model;
  const Keys& keys;
  std::int64_t head_dim;
  double theta;
};

void set_rope(nlohmann::json& config, const Read& read) {
  config["rope_theta"] = read.theta;
  if (auto scaling = gguf_rope_scaling(read.model, read.head_dim, read.theta); !scaling.is_null())
    config["rope_scaling"] = std::move(scaling);
}

// Ropes of full and of sliding layers.
void set_two_ropes(nlohmann::json& config, const Read& read, double sliding_theta) {
  nlohmann::json full = {{"rope_type", "default"}};
  if (auto scaling = gguf_rope_scaling(read.model, read.head_dim, read.theta); !scaling.is_null())
    full = std::move(scaling);
  full["rope_theta"] = read.theta;
  config["rope_parameters"] = {
      {"full_attention", std::move(full)},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", sliding_theta}}}};
}

void describe_llama(nlohmann::json& config, const Read& read) {
  config["attention_bias"] = has(read.model, "model.layers.0.self_attn.q_proj.bias");
  config["mlp_bias"] = has(read.model, "model.layers.0.mlp.up_proj.bias");
  set_rope(config, read);
  const auto window = read.keys.integer("attention.sliding_window").value_or(0);
  if (const auto experts = read.keys.integer("expert_count").value_or(0); experts > 0) {
    config["architectures"] = {"MixtralForCausalLM"};
    config["num_local_experts"] = experts;
    config["num_experts_per_tok"] = read.keys.required("expert_used_count");
    config["sliding_window"] = window > 0 ? nlohmann::json(window) : nlohmann::json();
    refuse_others(read.keys, {"expert_count", "attention.sliding_window"});
    return;
  }
  config["architectures"] = {window > 0 ? "MistralForCausalLM" : "LlamaForCausalLM"};
  if (window > 0) config["sliding_window"] = window;
  refuse_others(read.keys, {"attention.sliding_window"});
}

void describe_qwen2(nlohmann::json& config, const Read& read) {
  config["architectures"] = {"Qwen2ForCausalLM"};
  config["use_sliding_window"] = false;
  set_rope(config, read);
  refuse_others(read.keys, {});
}

void describe_qwen3_layers(nlohmann::json& config, const Read& read) {
  config["attention_bias"] = has(read.model, "model.layers.0.self_attn.q_proj.bias");
  config["use_sliding_window"] = false;
  set_rope(config, read);
}

void describe_qwen3(nlohmann::json& config, const Read& read) {
  config["architectures"] = {"Qwen3ForCausalLM"};
  describe_qwen3_layers(config, read);
  refuse_others(read.keys, {});
}

// llama.cpp renormalizes the chosen experts' weights in all of them.
void describe_qwen3moe(nlohmann::json& config, const Read& read) {
  config["architectures"] = {"Qwen3MoeForCausalLM"};
  describe_qwen3_layers(config, read);
  refuse_others(read.keys, {"expert_count"});
  config["num_experts"] = read.keys.required("expert_count");
  config["num_experts_per_tok"] = read.keys.required("expert_used_count");
  config["moe_intermediate_size"] = read.keys.required("expert_feed_forward_length");
  config["norm_topk_prob"] = true;
  config["decoder_sparse_step"] = 1;
  config["mlp_only_layers"] = nlohmann::json::array();
}

// By which queries are scaled: not in the file, as llama.cpp knows it of the largest model of each family.
void set_query_scale(nlohmann::json& config, const Read& read, std::int64_t layers_of_largest) {
  if (const auto scale = read.keys.number("attention.scale"); scale && *scale > 0) {
    const double scalar = 1 / (*scale * *scale), whole = std::round(scalar);  // whole in the models' configs
    config["query_pre_attn_scalar"] = std::abs(scalar - whole) < 1e-6 * scalar ? whole : scalar;
    return;
  }
  const auto hidden = read.keys.required("embedding_length"),
             heads = read.keys.required("attention.head_count");
  const bool largest = read.keys.required("block_count") == layers_of_largest;
  config["query_pre_attn_scalar"] = largest && heads > 0
                                        ? static_cast<double>(hidden) / static_cast<double>(heads)
                                        : static_cast<double>(read.head_dim);
}

void describe_gemma2(nlohmann::json& config, const Read& read) {
  config["architectures"] = {"Gemma2ForCausalLM"};
  config["sliding_window"] = read.keys.integer("attention.sliding_window").value_or(4096);
  config["attn_logit_softcapping"] = read.keys.number("attn_logit_softcapping").value_or(50);
  config["final_logit_softcapping"] = read.keys.number("final_logit_softcapping").value_or(30);
  set_query_scale(config, read, 46);
  set_rope(config, read);
  refuse_others(read.keys, {"attention.scale", "attention.sliding_window", "attn_logit_softcapping",
                            "final_logit_softcapping"});
}

void describe_gemma3(nlohmann::json& config, const Read& read) {
  constexpr std::int64_t kPeriod = 6;
  config["architectures"] = {"Gemma3ForCausalLM"};
  const auto layers = read.keys.required("block_count");
  const auto window = read.keys.integer("attention.sliding_window").value_or(0);
  if (window > 0) config["sliding_window"] = window;
  if (layers > 0 && layers <= kMostLayers)  // else refused by its own name later
    set_layer_types(config, window > 0 ? sliding_layers(read.keys, layers, kPeriod)
                                       : std::vector<bool>(static_cast<std::size_t>(layers), false));
  if (const auto cap = read.keys.number("final_logit_softcapping")) config["final_logit_softcapping"] = *cap;
  set_query_scale(config, read, 62);
  set_two_ropes(config, read, read.keys.number("rope.freq_base_swa").value_or(10000));
  refuse_others(read.keys, {"attention.scale", "attention.sliding_window", "final_logit_softcapping"});
}

void describe_phi3(nlohmann::json& config, const Read& read) {
  config["architectures"] = {"Phi3ForCausalLM"};
  const auto window = read.keys.integer("attention.sliding_window").value_or(0);
  config["sliding_window"] = window > 0 ? nlohmann::json(window) : nlohmann::json();
  if (const auto original = read.keys.integer("rope.scaling.original_context_length"))
    config["original_max_position_embeddings"] = *original;
  set_rope(config, read);
  refuse_others(read.keys, {"attention.sliding_window"});
}

// OLMo 3 is an OLMo 2 with a window, and with a rope of their own in the layers that have it.
void describe_olmo2(nlohmann::json& config, const Read& read) {
  constexpr std::int64_t kPeriod = 4;
  const auto window = read.keys.integer("attention.sliding_window").value_or(0);
  const auto layers = read.keys.required("block_count");
  if (window > 0) {
    config["architectures"] = {"Olmo3ForCausalLM"};
    config["sliding_window"] = window;
    if (layers > 0 && layers <= kMostLayers)
      set_layer_types(config, sliding_layers(read.keys, layers, kPeriod));
    set_two_ropes(config, read, read.theta);
  } else {
    config["architectures"] = {"Olmo2ForCausalLM"};
    set_rope(config, read);
  }
  refuse_others(read.keys, {"attention.sliding_window"});
}

void describe_granite(nlohmann::json& config, const Read& read) {
  config["architectures"] = {"GraniteForCausalLM"};
  config["attention_bias"] = has(read.model, "model.layers.0.self_attn.q_proj.bias");
  config["mlp_bias"] = has(read.model, "model.layers.0.mlp.up_proj.bias");
  const auto take = [&](const char* key, const char* ours) {
    if (const auto value = read.keys.number(key)) config[ours] = *value;
  };
  take("attention.scale", "attention_multiplier");
  take("embedding_scale", "embedding_multiplier");
  take("residual_scale", "residual_multiplier");
  take("logit_scale", "logits_scaling");
  set_rope(config, read);
  refuse_others(read.keys, {"attention.scale", "embedding_scale", "residual_scale", "logit_scale"});
}

// Keys of config.json that GGUF has no words for are the published models'.
void describe_gpt_oss(nlohmann::json& config, const Read& read) {
  config["architectures"] = {"GptOssForCausalLM"};
  config["attention_bias"] = true;
  config["sliding_window"] = read.keys.required("attention.sliding_window");
  config["num_local_experts"] = read.keys.required("expert_count");
  config["num_experts_per_tok"] = read.keys.required("expert_used_count");
  config["intermediate_size"] = read.keys.required("expert_feed_forward_length");
  config["rope_theta"] = read.theta;
  auto scaling = gguf_rope_scaling(read.model, read.head_dim, read.theta);
  if (scaling.is_null()) scaling = {{"rope_type", "default"}};
  scaling["truncate"] = false;
  config["rope_scaling"] = std::move(scaling);
  refuse_others(read.keys, {"expert_count", "attention.sliding_window"});
}

using Describe = void (*)(nlohmann::json& config, const Read& read);
Describe describe_of(std::string_view architecture) {
  static const std::map<std::string_view, Describe> kAll{
      {"llama", describe_llama},       {"qwen2", describe_qwen2},   {"qwen3", describe_qwen3},
      {"qwen3moe", describe_qwen3moe}, {"gemma2", describe_gemma2}, {"gemma3", describe_gemma3},
      {"phi3", describe_phi3},         {"olmo2", describe_olmo2},   {"granite", describe_granite},
      {"gpt-oss", describe_gpt_oss}};
  const auto found = kAll.find(architecture);
  if (found == kAll.end()) throw failure("{} has names and no description: this is a bug", architecture);
  return found->second;
}

std::int64_t vocabulary(const GgufModel& model) {
  const auto embedding = model.matrices().find("model.embed_tokens.weight");
  if (embedding == model.matrices().end() || embedding->second.shape.size() != 2)
    throw bad_data("{}: tensor token_embd.weight is missing or no matrix: no language model",
                   model.path().string());
  return embedding->second.shape.front();
}

}  // namespace

std::string gguf_config_text(const GgufModel& model) {
  const Keys keys(model);
  const auto& metadata = model.metadata();
  const auto hidden = keys.required("embedding_length"), heads = keys.required("attention.head_count");
  if (heads < 1)
    throw bad_data("{}: key {} is {}", metadata.file(), keys.name("attention.head_count"), heads);
  Read read{model, keys, keys.integer("attention.key_length").value_or(hidden / heads),
            keys.number("rope.freq_base").value_or(10000)};
  if (const auto values = keys.integer("attention.value_length"); values && *values != read.head_dim)
    throw bad_data("{}: key {} is {}, but keys have {} elements, which this version does not compute",
                   metadata.file(), keys.name("attention.value_length"), *values, read.head_dim);
  nlohmann::json config = {
      {"hidden_size", hidden},
      {"intermediate_size", keys.required("feed_forward_length")},
      {"num_hidden_layers", keys.required("block_count")},
      {"num_attention_heads", heads},
      {"num_key_value_heads", keys.integer("attention.head_count_kv").value_or(heads)},
      {"head_dim", read.head_dim},
      {"vocab_size", vocabulary(model)},
      {"max_position_embeddings", keys.required("context_length")},
      {"rms_norm_eps", keys.required_number("attention.layer_norm_rms_epsilon")},
      {"tie_word_embeddings", !has(model, "lm_head.weight")},
      {"torch_dtype", dtype_of(model)},
  };
  const auto rotated = keys.integer("rope.dimension_count").value_or(read.head_dim);
  if (rotated != read.head_dim && read.head_dim > 0) {
    config["partial_rotary_factor"] = static_cast<double>(rotated) / static_cast<double>(read.head_dim);
    read.head_dim = rotated;
  }
  if (const auto ids = eos_ids(metadata); !ids.empty()) config["eos_token_id"] = ids;
  if (const auto bos = metadata.integer("tokenizer.ggml.bos_token_id")) config["bos_token_id"] = *bos;
  describe_of(model.architecture().name)(config, read);
  return config.dump(2) + "\n";
}

}  // namespace shardrift
