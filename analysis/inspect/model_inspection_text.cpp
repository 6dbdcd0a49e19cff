#include <fmt/ranges.h>

#include "analysis/inspect/labelled_line.hpp"
#include "analysis/inspect/model_inspection.hpp"
#include "common/text.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

std::string bytes(std::int64_t count) {
  return bytes_text(static_cast<double>(count));
}

std::string listed(const std::string& label, const std::vector<std::string>& texts) {
  std::string text;
  for (const auto& one : texts) text += line(text.empty() ? label : "", legible(one));
  return text;
}

std::string model_text(const ModelInspection& model) {
  const ModelConfig& config = *model.config;
  std::string text =
      line("model", config.architecture) +
      line("sizes", fmt::format("{} parameters, {} layers, hidden {}, MLP {}", model.parameters,
                                config.layers, config.hidden, config.intermediate)) +
      line("heads", fmt::format("{} of queries, {} of keys and values, {} elements each", config.query_heads,
                                config.kv_heads, config.head_dim)) +
      line("context", fmt::format("{} tokens", config.max_positions)) +
      line("vocabulary", std::to_string(config.vocabulary));
  text += listed("beside", special_parts(config));
  for (const auto& kind : layer_kinds(config)) {
    std::string what = kind.window > 0 ? fmt::format("window {}", kind.window) : "all keys";
    what += ", rope " + kind.rope;
    for (const auto& part : kind.parts) what += ", " + part;
    text += line("layers", ranges_of(kind.layers) + ": " + what);
  }
  return text;
}

std::string memory_text(const ModelInspection& model) {
  TextColumns table({{"on each device", Align::left},
                     {"weights", Align::right},
                     {"cache a token", Align::right},
                     {"cache", Align::right},
                     {"buffers", Align::right},
                     {"all", Align::right}});
  std::string refused;
  for (const auto& one : model.memory) {
    if (!one.refused.empty()) {
      refused += line(one.plan, one.refused);
      continue;
    }
    table.add({one.plan, bytes(one.memory.weights), fmt::format("{} B", one.cache_per_token),
               bytes(one.memory.cache), bytes(one.memory.buffers), bytes(one.memory.total())});
  }
  return fmt::format(
             "\nmemory of the fullest device in {}, {} of up to {} tokens at once:\n", name_of(model.dtype),
             model.batch == 1 ? "one sequence" : fmt::format("{} sequences", model.batch), model.max_length) +
         table.str() + refused;
}

}  // namespace

std::string inspect_text(const ModelInspection& model) {
  std::error_code error;
  const bool file = std::filesystem::is_regular_file(model.directory, error);
  std::string text = line(file ? "file" : "directory", model.directory.string());
  if (model.config) text += model_text(model);
  std::vector<std::string> stored;
  for (const auto& [dtype, what] : model.stored)
    stored.push_back(fmt::format("{} {} ({} tensors)", bytes(what.bytes), dtype, what.tensors));
  if (!stored.empty())
    text += line("stored", fmt::format("{}; {} on disk", fmt::join(stored, ", "), bytes(model.files_bytes)));
  if (model.quantization != "none") text += line("quantized", model.quantization + "; decoded when loaded");
  text += line("tokenizer", model.tokenizer_file.empty() ? "none"
                            : model.tokenizer_size == 0  ? model.tokenizer_file + ", refused"
                                                         : fmt::format("{}, ids to {}", model.tokenizer_file,
                                                                       model.tokenizer_size - 1));
  text += listed("note", model.notes);
  text += line("will it run", model.will_run() ? "yes" : "no");
  text += listed("because", model.problems);
  return model.memory.empty() ? text : text + memory_text(model);
}

}  // namespace shardrift::analysis
