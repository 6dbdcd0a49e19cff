#include "experiments/runner/changes.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "record/reader.hpp"
#include "weights/model_files.hpp"

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
  if (changes.empty())
    return "the model's files, the prompts, the collective profile or the followed record changed";
  return fmt::format("{}", fmt::join(changes, ", "));
}

}  // namespace

std::vector<Changed> with_other_model_files(const study::StudyPlan& plan,
                                            const std::vector<std::string>& names,
                                            const std::function<void(const std::string&)>& say) {
  std::map<fs::path, ModelFiles> known;
  const auto files_at = [&](const fs::path& model) -> const ModelFiles& {
    const auto found = known.find(model);
    if (found != known.end()) return found->second;
    bool said = false;
    const auto threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 16U));
    return known
        .emplace(model, model_files(model, threads,
                                    [&](double) {
                                      if (!said)
                                        say(fmt::format("hashing the weights of {}", model.string()));
                                      said = true;
                                    }))
        .first->second;
  };
  std::vector<Changed> changed;
  for (const auto& one : plan.configurations) {
    if (one.model.empty() || std::find(names.begin(), names.end(), one.name) == names.end()) continue;
    if (!is_complete(one.output)) continue;
    const auto made_of = record::Reader::open(one.output).run().model;
    if (made_of.weights.empty()) continue;
    const ModelFiles& now = files_at(one.model);
    std::vector<std::string> what;
    if (made_of.weights != now.weights) what.emplace_back("the weights");
    if (made_of.generation_config != now.generation_config) what.emplace_back("generation_config.json");
    if (!made_of.tokenizer.empty() && made_of.tokenizer != now.tokenizer) what.emplace_back("the tokenizer");
    if (!what.empty())
      changed.push_back(
          {one.name, fmt::format("{} in {} changed since", fmt::join(what, ", "), one.model.string())});
  }
  return changed;
}

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
