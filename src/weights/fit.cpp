#include "weights/fit.hpp"

#include <cstring>
#include <map>
#include <set>

#include "common/error.hpp"
#include "weights/codings/matrix_coding.hpp"
#include "weights/grouped_experts.hpp"
#include "weights/wrapping.hpp"

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
    case Part::query_norm:
    case Part::key_norm:
      return layer.query_key_norm != QueryKeyNorm::none;
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
    case Part::sinks:
      return layer.sinks;
    case Part::router:
      return layer.experts.count > 0;
    case Part::router_bias:
      return layer.experts.router_bias;
    default:
      return true;
  }
}

// The parts of one expert, or of the dense MLP where there are none.
bool mlp_has(const LayerSpec& layer, Part part) {
  const BlockSpec& mlp = layer[Block::mlp];
  switch (part) {
    case Part::gate_bias:
    case Part::up_bias:
    case Part::expert_gate_bias:
    case Part::expert_up_bias:
      return mlp.input_bias;
    case Part::down_bias:
    case Part::expert_down_bias:
      return mlp.output_bias;
    default:
      return true;
  }
}

bool is_dense_part(Part part) {
  return part >= Part::gate && part <= Part::down_bias;
}

struct UsedTensor {
  Part part;
  std::int64_t layer;
};

// By name. A tied head's own tensor counts: it is the embedding once more.
std::map<std::string, UsedTensor> used_tensors(const ModelConfig& model, const Architecture& architecture,
                                               const Wrapping& wrapping) {
  std::map<std::string, UsedTensor> used;
  const auto add = [&](Part part, std::int64_t layer, std::int64_t expert = 0) {
    used.emplace(wrapped(wrapping, name_in(architecture, part, layer, expert)), UsedTensor{part, layer});
  };
  for (const auto& tensor : architecture.tensors) {
    if (is_outside_layers(tensor.part)) {
      add(tensor.part, 0);
      continue;
    }
    for (std::int64_t layer = 0; layer < model.layers; ++layer) {
      const LayerSpec& spec = model.specs[static_cast<std::size_t>(layer)];
      const std::int64_t experts = is_expert_part(tensor.part)  ? spec.experts.count
                                   : is_dense_part(tensor.part) ? (spec.experts.count == 0 ? 1 : 0)
                                                                : 1;
      if (layer_has(spec, tensor.part) && mlp_has(spec, tensor.part))
        for (std::int64_t expert = 0; expert < experts; ++expert) add(tensor.part, layer, expert);
    }
  }
  return used;
}

// Buffers that older files hold beside the weights; they are computed here.
bool is_buffer(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".rotary_emb.cos_cached") ||
         name.ends_with(".rotary_emb.sin_cached");
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

// By kind: one of them, how many.
using Kinds = std::map<std::string, std::pair<std::string, int>>;

void count_in(Kinds& kinds, const std::string& name) {
  ++kinds.try_emplace(kind_of(name), name, 0).first->second.second;
}

// "3 of the checkpoint's tensors: a, b (2)": one alone by its name, several by their kind.
std::string listed(const Kinds& kinds) {
  int count = 0;
  for (const auto& [kind, of_kind] : kinds) count += of_kind.second;
  auto text = fmt::format("{} of the checkpoint's tensors: ", count);
  std::size_t named = 0;
  for (const auto& [kind, of_kind] : kinds) {
    const auto& [name, times] = of_kind;
    if (named == kMostNamed) return text + fmt::format(" and {} other kinds", kinds.size() - named);
    text += (named++ == 0 ? "" : ", ") + (times == 1 ? name : fmt::format("{} ({})", kind, times));
  }
  return text;
}

std::set<std::string> as_set(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

// What is missing or of another shape or dtype, the first of each kind in words.
void check_used(const ModelConfig& model, const Checkpoint& checkpoint, const Architecture& architecture,
                const std::map<std::string, UsedTensor>& used, const MatrixCoding* coding,
                std::vector<std::string>& problems) {
  std::map<std::string, std::pair<std::string, int>> wrong;  // by kind: the first's error, how many
  for (const auto& [name, tensor] : used) {
    const bool coded = coding != nullptr && coding->holds(name);
    if (tensor.part == Part::head && model.tied_head && !coded && !checkpoint.contains(name)) continue;
    try {
      if (coded) {
        coding->check(name, matrix_shape(architecture, model, tensor.part, tensor.layer));
      } else {
        checkpoint.tensor(name, stored_shape(architecture, model, tensor.part, tensor.layer));
      }
    } catch (const Error& error) {
      ++wrong.try_emplace(kind_of(name), error.what(), 0).first->second.second;
    }
  }
  for (const auto& [kind, what] : wrong)
    problems.push_back(what.first +
                       (what.second == 1 ? "" : fmt::format(" ({} tensors like it)", what.second)));
}

}  // namespace

Fit fit(const ModelConfig& model, const Checkpoint& checkpoint, const Architecture& architecture) {
  Fit fit;
  const auto directory = checkpoint.directory().string();
  const Wrapping wrapping = wrapping_of(model, checkpoint);
  const auto used = used_tensors(model, architecture, wrapping);
  const auto coding = matrix_coding(model, checkpoint);
  const auto coded = [&](const std::string& name) { return coding != nullptr && coding->holds(name); };
  check_used(model, checkpoint, architecture, used, coding.get(), fit.problems);

  if (fit.problems.empty() && coding != nullptr && coding->quantized() &&
      std::none_of(used.begin(), used.end(), [&](const auto& tensor) { return coded(tensor.first); }))
    fit.problems.push_back(
        fmt::format("{}: config.json's quantization_config asks for {}, but no tensor is stored so: take it "
                    "out of config.json if the weights are plain",
                    directory, coding->description()));

  const auto head = wrapped(wrapping, name_in(architecture, Part::head, 0));
  const auto embedding = wrapped(wrapping, name_in(architecture, Part::embedding, 0));
  if (fit.problems.empty() && model.tied_head && (coded(head) || coded(embedding))) {
    fit.head_of_its_own = coded(head) || checkpoint.contains(head);
  } else if (fit.problems.empty() && model.tied_head && checkpoint.contains(head)) {
    const auto shape = stored_shape(architecture, model, Part::head, 0);
    if (is_another_matrix(checkpoint.tensor(head, shape), checkpoint.tensor(embedding, shape))) {
      fit.head_of_its_own = true;
      fit.notes.push_back(
          fmt::format("{}: {} ties the head to the embedding (tie_word_embeddings), but the "
                      "checkpoint's {} is another matrix than {}: it is used",
                      directory, checkpoint.described_by(), checkpoint.shown_name(head),
                      checkpoint.shown_name(embedding)));
    }
  }

  std::set<std::string> beside;  // tensors that coded matrices are made of
  for (const auto& [name, tensor] : used)
    if (coded(name)) beside.merge(as_set(coding->tensors(name)));
  Kinds superfluous, outside;
  for (const auto& name : checkpoint.names()) {
    if (used.contains(name) || beside.contains(name) || is_buffer(name)) continue;
    count_in(in_text_model(wrapping, name) ? superfluous : outside, checkpoint.shown_name(name));
  }
  if (!outside.empty())
    fit.notes.push_back(fmt::format("{}: the text model of {} is run; left out are {}", directory,
                                    model.wrapper, listed(outside)));
  if (!superfluous.empty())
    fit.problems.push_back(fmt::format(
        "{}: no part of {} as {} describes it uses {}: the model would be computed without them{}", directory,
        model.architecture, checkpoint.described_by(), listed(superfluous),
        checkpoint.gguf() == nullptr ? " (does config.json belong to this checkpoint?)" : ""));
  return fit;
}

Fit fit(const ModelConfig& model, const Checkpoint& checkpoint) {
  return fit(model, checkpoint, architecture_of(model));
}

std::string why_not_captured(const Plan& plan, const ModelConfig& model) {
  if (!has_experts(model) || groups_experts(plan)) return {};
  return fmt::format(
      "{} is a mixture of experts, whose routes the host has to see in each layer (but with --products fixed "
      "and a dtype of 16 bits)",
      model.architecture);
}

void require_fits(const Plan& plan, const ModelConfig& model) {
  if (has_experts(model)) {
    const auto why = why_not_captured(plan, model);
    if (plan.launch == Launch::captured && !why.empty())
      throw usage_error("--launch captured: {}; leave it out, or use --launch eager", why);
    return;
  }
  if (plan.expert_parallel)
    throw usage_error("--expert-parallel: {} has no experts; leave it out", model.architecture);
  if (plan.expert_sum != ExpertSum::model)
    throw usage_error("--expert-sum {}: {} has no experts; leave it out", name_of(plan.expert_sum),
                      model.architecture);
}

std::vector<std::string> fit_to_checkpoint(ModelConfig& model, const Checkpoint& checkpoint) {
  auto found = fit(model, checkpoint);
  if (!found.problems.empty()) {
    const auto more = found.problems.size() - 1;
    throw bad_data("{}{}", found.problems.front(),
                   more == 0 ? std::string()
                             : fmt::format("; {} more: shardrift inspect --model {}",
                                           more == 1 ? "1 problem" : fmt::format("{} problems", more),
                                           checkpoint.directory().string()));
  }
  if (found.head_of_its_own) model.tied_head = false;
  return std::move(found.notes);
}

}  // namespace shardrift
