#include "weights/wrapping.hpp"

#include <array>

#include "weights/architectures/architecture.hpp"

namespace shardrift {
namespace {

constexpr std::string_view kModel = "model.";
constexpr Wrapping kPlain{kModel, ""};
constexpr std::array kKnown{
    Wrapping{"model.language_model.", ""},  // transformers 5
    Wrapping{"language_model.model.",
             "language_model."},  // transformers 4: Gemma 3, LLaVA, Mistral 3, InternVL
    Wrapping{"model.language_model.model.", "model.language_model."},
    Wrapping{"model.text_model.", ""},
    kPlain,
};

}  // namespace

std::string wrapped(const Wrapping& wrapping, std::string name) {
  if (!name.starts_with(kModel)) return std::string(wrapping.head) + name;
  return std::string(wrapping.model) + name.substr(kModel.size());
}

Wrapping wrapping_of(const ModelConfig& model, const Checkpoint& checkpoint) {
  if (model.wrapper.empty()) return kPlain;
  const auto embedding = name_in(architecture_of(model), Part::embedding, 0);
  for (const auto& wrapping : kKnown)
    if (checkpoint.contains(wrapped(wrapping, embedding))) return wrapping;
  return kPlain;
}

bool in_text_model(const Wrapping& wrapping, std::string_view name) {
  if (wrapping.model == kModel && wrapping.head.empty()) return true;
  // Under another known prefix lies another text model, which is not to be taken for vision.
  for (const auto& known : kKnown)
    if ((known.model != kModel && name.starts_with(known.model)) ||
        (!known.head.empty() && name.starts_with(known.head)))
      return true;
  return false;
}

}  // namespace shardrift
