// Runs that a command makes for itself through the worker: as a study that no file holds, in a folder where
// finished ones are found again.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "experiments/runner/runner.hpp"
#include "experiments/study/study.hpp"
#include "parallel/plan/plan.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {

// Values of flags, for Entry::settings.
study::Setting value_of_flag(const std::string& text);
study::Setting switched_on();
std::string full_path(const std::filesystem::path& path);

// The flags of `shardrift-run run` that ask for this plan on one device; parse_run_options gives it back.
study::Settings settings_of(const Plan& plan);

// In the folder of such runs: what they are fed, where that is a score record's prompts, and what they fold
// by, where that is the order in which a record's collective was seen to add.
inline constexpr const char* kFedPrompts = "prompts.jsonl";
inline constexpr const char* kFoldedBy = "profile.json";

// The flags that feed a run what a record was fed: of a score record its prompts, which are written to
// kFedPrompts, of others its tokens, which are followed.
void feed_as(const record::Reader& run, const std::filesystem::path& folder, study::Settings& settings);
// Writes kFoldedBy, and gives its whole path: as the run's collective was seen to add, or of a run on one
// device as it folded; empty: the record does not know the order.
std::filesystem::path recorded_order(const record::Reader& run, const std::filesystem::path& folder);

// Throws bad_data where the record says that it is of another model than this directory's (configuration,
// tensors' names, dtypes and shapes); before anything is run with it.
void require_model_of(const record::Reader& run, const std::filesystem::path& model);
// The same where other tensors are no reason: config.json's values and the vocabulary alone; the identity
// where the record has no config.json.
void require_config_of(const record::Reader& run, const std::filesystem::path& model);

// Where such runs are made; the options of the same names.
struct WorkerFlags {
  std::filesystem::path output;
  std::filesystem::path worker;
  std::string device = "auto";
  bool rerun_changed = false;
};
// Looks at the machine and makes the folder. Throws usage_error or failure.
runner::RunnerOptions runner_options(const WorkerFlags& flags);

// Runs what is missing, showing how far it is. what: one of them, in messages ("rung"). nullopt: interrupted,
// and said. Throws usage_error where one cannot run here, failure where one failed.
std::optional<std::vector<study::Configuration>> run_in(const study::Study& study,
                                                        const runner::RunnerOptions& options,
                                                        const std::string& what);

}  // namespace shardrift::cli
