#include "weights/fit.hpp"

#include <cstring>
#include <map>
#include <set>

#include "common/error.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMostNamed = 8;

// Parts that the model has once, not in each layer.
bool is_outside_layers(Part part) {
  return part == Part::embedding || part == Part::final_norm || part == Part::head;
}

bool layer_has(const LayerSpec& layer, Part part) {
  const BlockSpec& attention = layer[Block::attention];
  const BlockSpec& mlp = layer[Block::mlp];
  switch (part) {
    case Part::attention_norm:
      return attention.norm_before;
    case Part::attention_norm_after:
      return attention.norm_after;
    case Part::query_bias:
    case Part::key_bias:
    case Part::value_bias:
      return attention.input_bias;
    case Part::attention_output_bias:
      return attention.output_bias;
    case Part::mlp_norm:
      return mlp.norm_before;
    case Part::mlp_norm_after:
      return mlp.norm_after;
    case Part::gate_bias:
    case Part::up_bias:
      return mlp.input_bias;
    case Part::down_bias:
      return mlp.output_bias;
    default:
      return true;
  }
}

// A tied head's own tensor counts: it is the embedding once more.
std::set<std::string> used_names(const ModelConfig& model, const Architecture& architecture) {
  std::set<std::string> names;
  for (const auto& tensor : architecture.tensors) {
    if (is_outside_layers(tensor.part)) {
      names.insert(name_in(architecture, tensor.part, 0));
      continue;
    }
    for (std::int64_t layer = 0; layer < model.layers; ++layer)
      if (layer_has(model.specs[static_cast<std::size_t>(layer)], tensor.part))
        names.insert(name_in(architecture, tensor.part, layer));
  }
  return names;
}

// "model.layers.*.mlp.bias": the layers' tensors of one kind.
std::string kind_of(const std::string& name) {
  std::string kind;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool digit = name[i] >= '0' && name[i] <= '9';
    if (!digit) {
      kind += name[i];
    } else if (kind.empty() || kind.back() != '*') {
      const bool number = kind.empty() || kind.back() == '.';
      kind += number ? '*' : name[i];
    }
  }
  return kind;
}

bool is_another_matrix(const TensorView& one, const TensorView& other) {
  return one.dtype != other.dtype || one.shape != other.shape ||
         std::memcmp(one.data, other.data, one.bytes) != 0;
}

}  // namespace

std::vector<std::string> fit_to_checkpoint(ModelConfig& model, const Checkpoint& checkpoint,
                                           const Architecture& architecture) {
  std::vector<std::string> notes;
  const auto directory = checkpoint.directory().string();
  const auto head = name_in(architecture, Part::head, 0);
  const auto embedding = name_in(architecture, Part::embedding, 0);
  if (model.tied_head && checkpoint.contains(head) && checkpoint.contains(embedding)) {
    const PartShape shape = shape_of(model, Part::head);
    if (is_another_matrix(checkpoint.tensor(head, {shape.rows, shape.cols}),
                          checkpoint.tensor(embedding, {shape.rows, shape.cols}))) {
      model.tied_head = false;
      notes.push_back(
          fmt::format("{}: config.json ties the head to the embedding (tie_word_embeddings), but the "
                      "checkpoint's {} is another matrix than {}: it is used",
                      directory, head, embedding));
    }
  }

  const auto used = used_names(model, architecture);
  std::map<std::string, int> unused;  // by kind
  int count = 0;
  for (const auto& name : checkpoint.names()) {
    if (used.contains(name)) continue;
    ++unused[kind_of(name)];
    ++count;
  }
  if (count == 0) return notes;
  auto note = fmt::format("{}: no part of the model uses {} of the checkpoint's tensors: ", directory, count);
  std::size_t named = 0;
  for (const auto& [kind, times] : unused) {
    if (named == kMostNamed) {
      note += fmt::format(" and {} other kinds", unused.size() - named);
      break;
    }
    note += (named++ == 0 ? "" : ", ") + kind + (times == 1 ? "" : fmt::format(" ({})", times));
  }
  notes.push_back(std::move(note));
  return notes;
}

std::vector<std::string> fit_to_checkpoint(ModelConfig& model, const Checkpoint& checkpoint) {
  return fit_to_checkpoint(model, checkpoint, architecture_of(model));
}

}  // namespace shardrift
