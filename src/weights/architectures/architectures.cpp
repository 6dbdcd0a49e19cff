#include <array>

#include "weights/architectures/architecture.hpp"
#include "weights/architectures/llama.hpp"
#include "weights/architectures/mistral.hpp"

namespace shardrift {

std::span<const Architecture* const> architectures() {
  static constexpr std::array kAll{&kLlama, &kMistral};
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

std::string architecture_names() {
  std::string names;
  const auto all = architectures();
  for (std::size_t i = 0; i < all.size(); ++i)
    names.append(i == 0 ? "" : i + 1 == all.size() ? " and " : ", ").append(all[i]->name);
  return names;
}

}  // namespace shardrift
