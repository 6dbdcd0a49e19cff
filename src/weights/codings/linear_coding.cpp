#include "weights/codings/linear_coding.hpp"

#include <algorithm>
#include <array>

#include "common/json_file.hpp"

namespace shardrift {
namespace {

// Scales of a layer's inputs and outputs, and of cached keys and values. Activations are not quantized here.
constexpr std::array<std::string_view, 6> kOfActivations = {".input_scale",        ".input_zero_point",
                                                            ".input_global_scale", ".activation_scale",
                                                            ".output_scale",       ".output_zero_point"};
struct OfCache {
  std::string_view module, beside;
};
constexpr std::array<OfCache, 3> kOfCache = {
    {{"k_proj", "k_scale"}, {"v_proj", "v_scale"}, {"q_proj", "q_scale"}}};

// Modules that stay as they are, in the formats whose config lists them.
constexpr std::array<const char*, 2> kLeftOut = {"modules_to_not_convert", "llm_int8_skip_modules"};

// "lm_head" stands for "model.lm_head", "model.layers.1.mlp" for all in it.
bool is_of(std::string_view module, std::string_view listed) {
  const auto ends = [&](std::string_view whole) {
    return whole == listed || whole.ends_with("." + std::string(listed));
  };
  if (ends(module)) return true;
  for (auto dot = module.find('.'); dot != std::string_view::npos; dot = module.find('.', dot + 1))
    if (ends(module.substr(0, dot))) return true;
  return false;
}

bool is_zero(const StoredTensor& tensor) {
  return std::all_of(tensor.data, tensor.data + tensor.bytes,
                     [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

LinearCoding::LinearCoding(const JsonObject& config, const Checkpoint& checkpoint) : tensors_(checkpoint) {
  for (const char* key : kLeftOut) {
    const auto* modules = config.get(key);
    if (modules == nullptr || !modules->is_array()) continue;
    for (const auto& module : *modules)
      if (module.is_string() && !module.get_ref<const std::string&>().empty())
        left_out_.push_back({key, module.get<std::string>()});
  }
}

void LinearCoding::check(const std::string& matrix, const Shape& shape) const {
  for (const auto& [key, module] : left_out_)
    if (is_of(module_of(matrix), module))
      throw tensors_.wrong(tensors(matrix).front(),
                           "is of quantized weights, but in config.json's quantization_config {} lists {}",
                           key, shown(module));
  check_tensors(matrix, shape);
}

std::string LinearCoding::name(const std::string& matrix, std::string_view suffix) const {
  return module_of(matrix) + std::string(suffix);
}

bool LinearCoding::has(const std::string& matrix, std::string_view suffix) const {
  const auto module = module_of(matrix);
  return !module.empty() && tensors_.has(module + std::string(suffix));
}

std::string LinearCoding::stored_dtype(const std::string& matrix) const {
  const auto tensor = tensors_.checkpoint().raw(matrix);
  return tensor && !module_of(matrix).empty() ? tensor->dtype : std::string();
}

std::vector<std::string> LinearCoding::tensors(const std::string& matrix) const {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (tensors_.has(name)) names.push_back(name);
  };
  const auto module = module_of(matrix);
  for (const auto suffix : suffixes()) add(module + std::string(suffix));
  for (const auto suffix : kOfActivations) add(module + std::string(suffix));
  for (const auto& [of, beside] : kOfCache)
    if (module.ends_with(of)) add(module.substr(0, module.size() - of.size()) + std::string(beside));
  // Some packages write a bias of zeros for linears that have none.
  if (const auto bias = tensors_.checkpoint().raw(module + ".bias"); bias && is_zero(*bias))
    names.push_back(bias->name);
  return names;
}

}  // namespace shardrift
