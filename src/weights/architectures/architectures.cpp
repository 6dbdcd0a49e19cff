#include <algorithm>
#include <array>

#include "common/error.hpp"
#include "weights/architectures/architecture.hpp"
#include "weights/architectures/gemma.hpp"
#include "weights/architectures/gpt_oss.hpp"
#include "weights/architectures/granite.hpp"
#include "weights/architectures/internlm2.hpp"
#include "weights/architectures/llama.hpp"
#include "weights/architectures/mistral.hpp"
#include "weights/architectures/mixtral.hpp"
#include "weights/architectures/olmo2.hpp"
#include "weights/architectures/phi3.hpp"
#include "weights/architectures/qwen.hpp"
#include "weights/architectures/qwen_moe.hpp"

namespace shardrift {

std::span<const Architecture* const> architectures() {
  static constexpr std::array kAll{&kLlama, &kMistral, &kQwen2, &kQwen3,   &kInternLm2, &kGemma2,   &kGemma3,
                                   &kPhi3,  &kOlmo2,   &kOlmo3, &kGranite, &kMixtral,   &kQwen3Moe, &kGptOss};
  return kAll;
}

const Architecture* find_architecture(std::string_view name) {
  for (const auto* architecture : architectures())
    if (architecture->name == name) return architecture;
  return nullptr;
}

const Architecture* architecture_of_type(std::string_view model_type) {
  for (const auto* architecture : architectures())
    if (architecture->model_type == model_type) return architecture;
  return nullptr;
}

const Architecture& architecture_of(const ModelConfig& model) {
  const auto* architecture = find_architecture(model.architecture);
  if (architecture == nullptr)
    throw failure("{} was described and is no architecture: this is a bug", model.architecture);
  return *architecture;
}

std::string name_in(const Architecture& architecture, Part part, std::int64_t layer, std::int64_t expert) {
  for (const auto& tensor : architecture.tensors) {
    if (tensor.part != part) continue;
    std::string name(tensor.name);
    for (const auto number : {layer, expert})
      if (const auto at = name.find("{}"); at != std::string::npos)
        name.replace(at, 2, std::to_string(number));
    return name;
  }
  throw failure("{} has no name for part {} of the model: this is a bug", architecture.name,
                static_cast<int>(part));
}

PackedRows packed_in(const Architecture& architecture, const ModelConfig& model, Part part) {
  return architecture.packed != nullptr ? architecture.packed(model, part) : PackedRows{};
}

std::vector<std::int64_t> stored_shape(const Architecture& architecture, const ModelConfig& model, Part part,
                                       std::int64_t layer) {
  const PartShape shape = shape_of(model, part, layer);
  const PackedRows packed = packed_in(architecture, model, part);
  const std::int64_t rows = packed.tensor_rows != 0 ? packed.tensor_rows : shape.rows;
  std::vector<std::int64_t> stored;
  if (packed.experts != 0) stored.push_back(packed.experts);
  if (shape.vector) {
    stored.push_back(rows * shape.cols);
  } else {
    stored.push_back(packed.transposed ? shape.cols : rows);
    stored.push_back(packed.transposed ? rows : shape.cols);
  }
  return stored;
}

std::vector<std::int64_t> matrix_shape(const Architecture& architecture, const ModelConfig& model, Part part,
                                       std::int64_t layer) {
  const PartShape shape = shape_of(model, part, layer);
  const PackedRows packed = packed_in(architecture, model, part);
  const std::int64_t rows = packed.tensor_rows != 0 ? packed.tensor_rows : shape.rows;
  return {std::max<std::int64_t>(1, packed.experts) * rows, shape.cols};
}

std::string architecture_names() {
  std::string names;
  const auto all = architectures();
  for (std::size_t i = 0; i < all.size(); ++i)
    names.append(i == 0 ? "" : i + 1 == all.size() ? " and " : ", ").append(all[i]->name);
  return names;
}

}  // namespace shardrift
