#include "cli/study_overrides.hpp"

#include <filesystem>

#include "common/error.hpp"

namespace shardrift::cli {

void add_override_options(Arguments& known, OverrideFlags& flags) {
  known.option("model", flags.model, "DIR", "instead of the study's")
      .option("prompts", flags.prompts, "FILE", "instead of the study's")
      .option("set", flags.sets, "FLAG=VALUE",
              "a flag of shardrift-run run instead of [run]'s; may be repeated");
}

study::Overrides overrides_of(const OverrideFlags& flags) {
  study::Overrides overrides;
  if (!flags.model.empty()) overrides.emplace_back("model", flags.model);
  if (!flags.prompts.empty()) overrides.emplace_back("prompts", flags.prompts);
  for (const auto& set : flags.sets) {
    const auto equals = set.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == set.size())
      throw usage_error("--set {}: write FLAG=VALUE, e.g. --set max-new-tokens=64", set);
    overrides.emplace_back(set.substr(0, equals), set.substr(equals + 1));
  }
  return overrides;
}

std::vector<std::string> words_of(const OverrideFlags& flags) {
  std::vector<std::string> words;
  if (!flags.model.empty())
    words.insert(words.end(), {"--model", std::filesystem::absolute(flags.model).string()});
  if (!flags.prompts.empty())
    words.insert(words.end(), {"--prompts", std::filesystem::absolute(flags.prompts).string()});
  for (const auto& set : flags.sets) words.insert(words.end(), {"--set", set});
  return words;
}

}  // namespace shardrift::cli
