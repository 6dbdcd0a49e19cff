// What an earlier run of a study left in its folder, and whether it is still what is asked for.
#pragma once
#include <string>
#include <vector>

#include "experiments/runner/status.hpp"
#include "experiments/study/plan_study.hpp"

namespace shardrift::runner {

struct Changed {
  std::string name;
  std::string what;  // "max-new-tokens 64 -> 128"
};
// Configurations whose records, or parts of them, were made with other settings, model or prompts.
std::vector<Changed> changed_since(const StudyStatus& earlier, const study::StudyPlan& plan);

// A record or parts of one are there.
bool has_results(const RunStatus& run);

// A finished record that nobody wrote down here, and of another plan.
bool is_stranger(const study::Configuration& configuration);

}  // namespace shardrift::runner
