#include "cli/study_overrides.hpp"

#include <filesystem>

#include "common/error.hpp"

namespace shardrift::cli {

namespace po = boost::program_options;

void add_override_options(po::options_description& options, OverrideFlags& flags) {
  options.add_options()("model", po::value(&flags.model)->value_name("DIR"), "instead of the study's")(
      "prompts", po::value(&flags.prompts)->value_name("FILE"), "instead of the study's")(
      "set", po::value(&flags.sets)->composing()->value_name("FLAG=VALUE"),
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
