#include "weights/gguf/gguf_weights.hpp"

#include "common/error.hpp"
#include "common/json_file.hpp"

namespace shardrift {

const GgufMatrix* GgufWeights::matrix(const std::string& name) const {
  const auto found = model_.matrices().find(name);
  return found == model_.matrices().end() || found->second.file != number_ ? nullptr : &found->second;
}

std::vector<std::string> GgufWeights::names() const {
  std::vector<std::string> names;
  for (const auto& [name, matrix] : model_.matrices())
    if (matrix.file == number_) names.push_back(name);
  return names;
}

std::optional<TensorView> GgufWeights::find(const std::string& name) const {
  const auto* found = matrix(name);
  if (found == nullptr) return std::nullopt;
  if (!is_plain(*found))
    throw bad_data("{}: tensor {} is of type {} and has to be decoded", path().string(), shown(found->tensor),
                   found->type->name);
  return TensorView{name, decoded_dtype(*found), found->shape, found->data, found->bytes};
}

std::optional<StoredTensor> GgufWeights::stored(const std::string& name) const {
  const auto* found = matrix(name);
  if (found == nullptr) return std::nullopt;
  return StoredTensor{name, std::string(found->type->name), found->shape, found->data, found->bytes};
}

}  // namespace shardrift
