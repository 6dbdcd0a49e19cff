// Runs what is missing of a planned study.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/runner/detect_machine.hpp"
#include "experiments/runner/launch.hpp"
#include "experiments/runner/progress.hpp"
#include "experiments/runner/status.hpp"
#include "experiments/study/plan_study.hpp"
#include "experiments/study/study.hpp"

namespace shardrift::runner {

struct RunnerOptions {
  std::filesystem::path output;  // folder, absolute
  Launcher launcher;
  DetectedMachine machine;
  int jobs = 1;                   // single-device runs at once
  std::vector<std::string> only;  // names; empty: all
  bool rerun_changed = false;     // records of changed configurations are made again
  bool start_nothing = false;     // only bring the status up to date with what is there
};

// What an earlier run of the study in this folder left.
struct Changed {
  std::string name;
  std::string what;  // "max-new-tokens 64 -> 128"
};
// Configurations whose records, or parts of them, were made with other settings, model or prompts.
std::vector<Changed> changed_since(const StudyStatus& earlier, const study::StudyPlan& plan);

// Names that --only chooses: these and what they follow. Throws usage_error naming an unknown one.
std::vector<std::string> chosen_names(const study::StudyPlan& plan, const std::vector<std::string>& only);

// Starts processes until every chosen configuration is done or cannot be; the folder's status.json is kept up
// to date, a copy of the study file is put beside it. Returns the status: state is done, failed (some run
// did) or interrupted (SIGINT, SIGTERM). Throws usage_error where settings changed and rerun_changed is not
// given, before anything is started.
StudyStatus run_study(const study::Study& study, const study::StudyPlan& plan, const RunnerOptions& options,
                      Line& line);

}  // namespace shardrift::runner
