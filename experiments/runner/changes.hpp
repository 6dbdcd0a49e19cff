// What an earlier run of a study left in its folder, and whether it is still what is asked for.
#pragma once
#include <functional>
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

// Finished records whose model's files are others by now: their weights, generation_config.json or
// tokenizer. Where nothing is kept of the weights they are hashed, which `say` is told. Records that do
// not say what they were made of (older versions') are taken as they are.
std::vector<Changed> with_other_model_files(const study::StudyPlan& plan,
                                            const std::vector<std::string>& names,
                                            const std::function<void(const std::string&)>& say);

// A record or parts of one are there.
bool has_results(const RunStatus& run);

// A finished record that nobody wrote down here, and of another plan.
bool is_stranger(const study::Configuration& configuration);

}  // namespace shardrift::runner
