#include "weights/model_config.hpp"

#include <algorithm>
#include <limits>

#include "common/json_file.hpp"
#include "weights/architectures/architecture.hpp"
#include "weights/gguf/gguf_config.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;

constexpr const char* kTextConfig = "text_config";

// A multimodal wrapper's text part, read as its text model's config.json: text_config, and of the wrapper's
// own keys those that text_config leaves out and that are meant for it too.
nlohmann::json text_part(const JsonObject& wrapper) {
  auto text = wrapper.object(kTextConfig)->json();
  for (const char* key :
       {"dtype", "torch_dtype", "eos_token_id", "tie_word_embeddings", "quantization_config"})
    if (const auto* value = wrapper.get(key);
        value != nullptr && (!text.contains(key) || text[key].is_null()))
      text[key] = *value;
  // The wrapper ties (Mistral 3, InternVL): the text part's own flag is then not asked, as in transformers; a
  // head that is stored apart is still used (fit.hpp).
  if (wrapper.flag("tie_word_embeddings")) text["tie_word_embeddings"] = true;
  // A name of the wrapper's own making (SmolVLM's VLlama3ForCausalLM): model_type says what it is.
  const JsonObject part(text, wrapper.where());
  if (const auto* names = part.get("architectures");
      names != nullptr && names->is_array() && names->size() == 1 && names->front().is_string() &&
      find_architecture(names->front().get<std::string>()) == nullptr &&
      architecture_of_type(part.text("model_type", "")) != nullptr)
    text.erase("architectures");
  return text;
}

// The wrapper's own name is no architecture here, and it has a text part.
bool is_wrapper(const JsonObject& config) {
  if (!config.has(kTextConfig)) return false;
  const auto* names = config.get("architectures");
  return names == nullptr || !names->is_array() || names->size() != 1 || !names->front().is_string() ||
         find_architecture(names->front().get<std::string>()) == nullptr;
}

const Architecture& read_architecture(const JsonObject& config) {
  const auto* value = config.get("architectures");
  if (value == nullptr || (value->is_array() && value->empty())) {
    const auto type = config.text("model_type", "");
    const auto* by_type = architecture_of_type(type);
    if (by_type == nullptr)
      throw bad_data("{}: architectures is missing and model_type is {}; this version computes {}",
                     config.where(), type.empty() ? "missing" : shown(type), architecture_names());
    return *by_type;
  }
  if (!value->is_array() || value->size() != 1 || !value->front().is_string()) {
    throw config.wrong("architectures", *value, "a list of one name is expected");
  }
  const auto* architecture = find_architecture(value->front().get<std::string>());
  if (architecture == nullptr) {
    throw config.wrong("architectures", *value, "this version computes " + architecture_names());
  }
  return *architecture;
}

DType read_dtype(const JsonObject& config) {
  const char* key = config.get("dtype") != nullptr ? "dtype" : "torch_dtype";
  const auto name = config.text(key, "float32");  // absent: torch's default
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16}) {
    if (name == name_of(dtype)) {
      return dtype;
    }
  }
  throw config.wrong(key, name, "float64, float32, float16 or bfloat16 is expected");
}

void add_eos(const JsonObject& config, std::vector<std::int32_t>& ids) {
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

// What else would be said, that config.json is missing, helps nobody there.
void refuse_folder_of_gguf(const std::filesystem::path& directory) {
  std::error_code error;
  if (std::filesystem::exists(directory / "config.json", error)) return;
  std::string first;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".gguf" && (first.empty() || it->path().string() < first))
      first = it->path().string();
  if (!first.empty())
    throw bad_data("{}: has no config.json; of a GGUF file give the file itself: {}", directory.string(),
                   first);
}

}  // namespace

ModelConfig parse_model_config(std::string text, const std::string& where) {
  ModelConfig model;
  model.text = std::move(text);
  auto json = parse_json_object(model.text, where);
  std::string from = where;
  if (const JsonObject whole(json, where); is_wrapper(whole)) {
    const auto* names = whole.get("architectures");
    model.wrapper = names != nullptr ? names->is_array() && names->size() == 1 && names->front().is_string()
                                           ? names->front().get<std::string>()
                                           : shown(*names)
                                     : whole.text("model_type", "a multimodal model");
    json = text_part(whole);
    from += fmt::format(": {}", kTextConfig);
  }
  const JsonObject config(json, from);

  const Architecture& architecture = read_architecture(config);
  model.architecture = architecture.name;
  if (const auto* value = config.get("quantization_config")) model.quantization = value->dump();
  architecture.describe(config, model);
  model.dtype = read_dtype(config);
  add_eos(config, model.eos_ids);
  return model;
}

ModelConfig read_model_config(const std::filesystem::path& directory) {
  if (std::error_code error; std::filesystem::is_regular_file(directory, error))
    return parse_model_config(gguf_config_text(GgufModel::open(directory)),
                              directory.string() + ": what its metadata say as a config.json");
  const auto path = directory / "config.json";
  refuse_folder_of_gguf(directory);
  ModelConfig model = parse_model_config(read_text_file(path, kMaxConfigBytes), path.string());
  const auto generation = directory / "generation_config.json";
  std::error_code error;
  if (std::filesystem::exists(generation, error)) {
    const auto more = parse_json_object(read_text_file(generation, kMaxConfigBytes), generation.string());
    add_eos(JsonObject(more, generation.string()), model.eos_ids);
  }
  return model;
}

bool has_experts(const ModelConfig& config) {
  return std::any_of(config.specs.begin(), config.specs.end(),
                     [](const LayerSpec& layer) { return layer.experts.count > 0; });
}

// Per layer: query and output projections, keys and values, three matrices of the MLP or of each expert with
// the router, two norms. (Where the layers have four norms, or none before their blocks, vectors are counted
// roughly; they are less than 0.1%.)
std::int64_t parameter_count(const ModelConfig& config) {
  std::int64_t count = config.hidden + config.vocabulary * config.hidden * (config.tied_head ? 1 : 2);
  for (const LayerSpec& spec : config.specs) {
    count += 2 * config.hidden * (config.query_heads + config.kv_heads) * config.head_dim + 2 * config.hidden;
    const ExpertsSpec& experts = spec.experts;
    count += experts.count > 0 ? experts.count * config.hidden * (3 * experts.intermediate + 1)
                               : 3 * config.hidden * config.intermediate;
  }
  return count;
}

}  // namespace shardrift
