#include "analysis/report/model_name.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "common/error.hpp"
#include "weights/model_config.hpp"

namespace shardrift::report {
namespace {

// The words of a command line as it was recorded: blanks divide, quotes and backslashes keep them.
std::vector<std::string> words_of(const std::string& command) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  char quote = 0;
  for (std::size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (quote != 0 ? c == quote : c == '\'' || c == '"') {
      quote = quote != 0 ? 0 : c;
      inside = true;
    } else if (c == '\\' && quote != '\'' && i + 1 < command.size()) {
      word += command[++i];
      inside = true;
    } else if (c == ' ' && quote == 0) {
      if (inside) words.push_back(word);
      word.clear();
      inside = false;
    } else {
      word += c;
      inside = true;
    }
  }
  if (inside) words.push_back(word);
  return words;
}

bool is_snapshot(const std::string& name) {
  return name.size() == 40 && name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

std::string model_folder(const std::string& command) {
  const auto words = words_of(command);
  std::string given;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--model" && i + 1 < words.size()) given = words[i + 1];
    if (words[i].starts_with("--model=")) given = words[i].substr(8);
  }
  auto path = std::filesystem::path(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // a slash at the end
  std::string name = path.filename().string();
  // …/models--HuggingFaceTB--SmolLM2-135M/snapshots/93efa2f097d58c2a74874c7e644dbc9b0cee75a2
  if (is_snapshot(name)) {
    const auto repository = path.parent_path().parent_path().filename().string();
    const auto last = repository.rfind("--");
    if (last != std::string::npos) name = repository.substr(last + 2);
  }
  return name == "." || name == ".." ? "" : name;
}

std::string model_size(const std::string& config) {
  try {
    const auto parameters = static_cast<double>(parameter_count(parse_model_config(config, "config.json")));
    if (parameters >= 1e9) return fmt::format("{:.3g}B", parameters / 1e9);
    return parameters >= 1e6 ? fmt::format("{:.3g}M", parameters / 1e6)
                             : fmt::format("{:.3g}K", parameters / 1e3);
  } catch (const Error&) {  // another program's record, or a later version's
    return {};
  }
}

std::string model_name(const record::RunInfo& run) {
  std::vector<std::string> parts;
  const std::string size = model_size(run.model.config);
  for (const auto& part :
       {model_folder(run.command), size.empty() ? "" : size + " parameters", run.model.architecture,
        run.model.dtype, run.model.quantization == "none" ? "" : run.model.quantization})
    if (!part.empty()) parts.push_back(part);
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace shardrift::report
