#include "weights/codings/linear_coding.hpp"

#include <algorithm>
#include <array>

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

bool is_zero(const StoredTensor& tensor) {
  return std::all_of(tensor.data, tensor.data + tensor.bytes,
                     [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

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
