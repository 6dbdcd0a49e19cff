#include "experiments/runner/changes.hpp"

#include <fmt/ranges.h>

#include <filesystem>
#include <map>

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;

std::map<std::string, std::string> flags_of(const std::vector<std::string>& words) {
  std::map<std::string, std::string> flags;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) continue;
    const bool valued = i + 1 < words.size() && !words[i + 1].starts_with("--");
    flags[words[i].substr(2)] = valued ? words[i + 1] : "on";
  }
  return flags;
}

std::string what_changed(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  const auto old_flags = flags_of(before);
  const auto new_flags = flags_of(after);
  std::vector<std::string> changes;
  for (const auto& [flag, value] : new_flags) {
    const auto old = old_flags.find(flag);
    if (old == old_flags.end())
      changes.push_back(fmt::format("{} {} added", flag, value));
    else if (old->second != value)
      changes.push_back(fmt::format("{} {} -> {}", flag, old->second, value));
  }
  for (const auto& [flag, value] : old_flags)
    if (!new_flags.contains(flag)) changes.push_back(fmt::format("{} {} left out", flag, value));
  if (changes.empty()) return "the model's files, the prompts or the followed record changed";
  return fmt::format("{}", fmt::join(changes, ", "));
}

}  // namespace

bool has_results(const RunStatus& run) {
  std::error_code error;
  return fs::exists(run.output, error) || fs::exists(run.output.string() + ".parts", error);
}

bool is_stranger(const study::Configuration& configuration) {
  return is_complete(configuration.output) && !is_record_of(configuration);
}

std::vector<Changed> changed_since(const StudyStatus& earlier, const study::StudyPlan& plan) {
  std::vector<Changed> changed;
  for (const auto& configuration : plan.configurations) {
    const auto* old = earlier.find(configuration.name);
    if (old == nullptr || old->fingerprint == configuration.fingerprint || !has_results(*old)) continue;
    changed.push_back({configuration.name, what_changed(old->arguments, configuration.arguments)});
  }
  return changed;
}

}  // namespace shardrift::runner
