// Flags that stand in for a study file's own values: --model, --prompts, --set.
#pragma once
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "experiments/study/study.hpp"

namespace shardrift::cli {

struct OverrideFlags {
  std::string model;
  std::string prompts;
  std::vector<std::string> sets;  // "FLAG=VALUE"
};

void add_override_options(Arguments& known, OverrideFlags& flags);
study::Overrides overrides_of(const OverrideFlags& flags);      // throws usage_error
std::vector<std::string> words_of(const OverrideFlags& flags);  // as they were given, paths made absolute

}  // namespace shardrift::cli
