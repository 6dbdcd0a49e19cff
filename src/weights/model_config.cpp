#include "weights/model_config.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;
// Far above any model there is, far below where a product of two sizes would overflow.
constexpr std::int64_t kMaxSize = std::int64_t{1} << 28;

// One JSON object of one file: every error names both.
class Reader {
 public:
  Reader(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const nlohmann::json* get(const char* key) const { return member(object_, key); }
  bool has(const char* key) const { return object_.contains(key); }  // also where it is null
  const std::string& where() const { return where_; }

  Error wrong(const char* key, const nlohmann::json& value, std::string_view expected) const {
    return bad_data("{}: {} is {}; {}", where_, key, shown(value), expected);
  }
  Error missing(const char* key) const { return bad_data("{}: {} is missing", where_, key); }

  std::int64_t size(const char* key, std::optional<std::int64_t> otherwise = {}) const {
    const auto* value = get(key);
    if (value == nullptr) {
      if (!otherwise) {
        throw missing(key);
      }
      return *otherwise;
    }
    if (!value->is_number_unsigned() || value->get<std::uint64_t>() < 1 ||
        value->get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxSize)) {
      throw wrong(key, *value, fmt::format("an integer from 1 to {} is expected", kMaxSize));
    }
    return value->get<std::int64_t>();
  }

  double positive(const char* key, std::optional<double> otherwise = {}) const {
    const auto* value = get(key);
    if (value == nullptr) {
      if (!otherwise) {
        throw missing(key);
      }
      return *otherwise;
    }
    if (!value->is_number() || !(value->get<double>() > 0) || !std::isfinite(value->get<double>())) {
      throw wrong(key, *value, "a positive number is expected");
    }
    return value->get<double>();
  }

  bool flag(const char* key) const {  // absent: false
    const auto* value = get(key);
    if (value != nullptr && !value->is_boolean()) {
      throw wrong(key, *value, "true or false is expected");
    }
    return value != nullptr && value->get<bool>();
  }

  std::string text(const char* key, const char* otherwise) const {
    const auto* value = get(key);
    if (value != nullptr && !value->is_string()) {
      throw wrong(key, *value, "a string is expected");
    }
    return value == nullptr ? otherwise : value->get<std::string>();
  }

  const nlohmann::json* object(const char* key) const {
    const auto* value = get(key);
    if (value != nullptr && !value->is_object()) {
      throw wrong(key, *value, "an object or null is expected");
    }
    return value;
  }

 private:
  const nlohmann::json& object_;
  std::string where_;
};

std::string read_architecture(const Reader& config) {
  const auto* value = config.get("architectures");
  if (value == nullptr) {
    throw config.missing("architectures");
  }
  if (!value->is_array() || value->size() != 1 || !value->front().is_string()) {
    throw config.wrong("architectures", *value, "a list of one name is expected");
  }
  auto name = value->front().get<std::string>();
  if (name != "LlamaForCausalLM" && name != "MistralForCausalLM") {
    throw config.wrong("architectures", *value,
                       "this version computes LlamaForCausalLM and MistralForCausalLM");
  }
  return name;
}

// What would change the forward pass, and is not computed by this version.
void refuse_unsupported(const Reader& config) {
  for (const auto* key : {"attention_bias", "mlp_bias"}) {
    if (config.flag(key)) {
      throw config.wrong(key, true, "this version computes linear layers without bias only");
    }
  }
  const auto activation = config.text("hidden_act", "silu");
  if (activation != "silu") {
    throw config.wrong("hidden_act", activation, "this version computes silu only");
  }
  if (const auto* value = config.get("quantization_config")) {
    throw config.wrong("quantization_config", *value,
                       "this version reads unquantized checkpoints only (use the original one)");
  }
}

RopeConfig::Llama3 read_llama3(const Reader& reader) {
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

RopeConfig read_rope(const Reader& config) {
  const auto* old_key = config.object("rope_scaling");
  const auto* new_key = config.object("rope_parameters");
  if (old_key != nullptr && new_key != nullptr && *old_key != *new_key) {
    throw config.wrong("rope_scaling", *old_key,
                       fmt::format("rope_parameters is {}: remove one of the two", shown(*new_key)));
  }
  RopeConfig rope;
  rope.theta = config.positive("rope_theta", rope.theta);
  const char* key = new_key != nullptr ? "rope_parameters" : "rope_scaling";
  const auto* scaling = new_key != nullptr ? new_key : old_key;
  std::vector<Reader> readers = {config};
  if (scaling != nullptr) {
    const Reader reader(*scaling, config.where() + ": " + key);
    readers.push_back(reader);
    rope.theta = reader.positive("rope_theta", rope.theta);
    const char* type_key = reader.get("rope_type") != nullptr ? "rope_type" : "type";
    const auto type = reader.text(type_key, "default");
    if (type == "llama3") {
      rope.llama3 = read_llama3(reader);
    } else if (type != "default") {
      throw reader.wrong(type_key, type, "this version computes default and llama3");
    }
  }
  for (const auto& reader : readers) {
    if (reader.positive("partial_rotary_factor", 1.0) != 1.0) {
      throw reader.wrong("partial_rotary_factor", *reader.get("partial_rotary_factor"),
                         "this version rotates whole heads only");
    }
  }
  return rope;
}

DType read_dtype(const Reader& config) {
  const char* key = config.get("dtype") != nullptr ? "dtype" : "torch_dtype";
  const auto name = config.text(key, "float32");  // absent: torch's default
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16}) {
    if (name == name_of(dtype)) {
      return dtype;
    }
  }
  throw config.wrong(key, name, "float64, float32, float16 or bfloat16 is expected");
}

void add_eos(const Reader& config, std::vector<std::int32_t>& ids) {
  constexpr const char* kKey = "eos_token_id";
  const auto* value = config.get(kKey);
  if (value == nullptr) {
    return;
  }
  const auto list = value->is_array() ? *value : nlohmann::json::array({*value});
  for (const auto& id : list) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > std::numeric_limits<std::int32_t>::max()) {
      throw config.wrong(kKey, *value, "a token id, a list of token ids or null is expected");
    }
    const auto number = id.get<std::int32_t>();
    if (std::find(ids.begin(), ids.end(), number) == ids.end()) {
      ids.push_back(number);
    }
  }
}

void read_heads(const Reader& config, ModelConfig& model) {
  model.query_heads = config.size("num_attention_heads");
  // Mistral's own default where the key is absent (not null) is 8, in transformers' MistralConfig.
  const bool mistral_default =
      model.architecture == "MistralForCausalLM" && !config.has("num_key_value_heads");
  model.kv_heads = config.size("num_key_value_heads", mistral_default ? 8 : model.query_heads);
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

}  // namespace

ModelConfig read_model_config(const std::filesystem::path& directory) {
  const auto path = directory / "config.json";
  ModelConfig model;
  model.text = read_text_file(path, kMaxConfigBytes);
  const auto json = parse_json_object(model.text, path.string());
  const Reader config(json, path.string());

  model.architecture = read_architecture(config);
  refuse_unsupported(config);
  model.hidden = config.size("hidden_size");
  model.intermediate = config.size("intermediate_size");
  model.layers = config.size("num_hidden_layers");
  model.vocabulary = config.size("vocab_size");
  model.max_positions = config.size("max_position_embeddings");
  read_heads(config, model);
  if (model.architecture == "MistralForCausalLM") {
    // Absent means 4096 to transformers, null means none. Llama computes no window whatever its config says.
    model.sliding_window = config.size("sliding_window", config.has("sliding_window") ? 0 : 4096);
  }
  model.rms_norm_eps = config.positive("rms_norm_eps", model.rms_norm_eps);
  model.tied_head = config.flag("tie_word_embeddings");
  model.rope = read_rope(config);
  model.dtype = read_dtype(config);
  add_eos(config, model.eos_ids);

  const auto generation = directory / "generation_config.json";
  std::error_code error;
  if (std::filesystem::exists(generation, error)) {
    const auto more = parse_json_object(read_text_file(generation, kMaxConfigBytes), generation.string());
    add_eos(Reader(more, generation.string()), model.eos_ids);
  }
  return model;
}

}  // namespace shardrift
