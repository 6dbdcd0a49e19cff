// Runs what is missing of a planned study.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "common/progress_line.hpp"
#include "experiments/runner/detect_machine.hpp"
#include "experiments/runner/launch.hpp"
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

// Starts processes until every chosen configuration is done or cannot be; the folder's status.json is kept up
// to date, a copy of the study file is put beside it. Returns the status: state is done, failed (some run
// did) or interrupted (SIGINT, SIGTERM). Throws usage_error where settings changed and rerun_changed is not
// given, before anything is started.
StudyStatus run_study(const study::Study& study, const study::StudyPlan& plan, const RunnerOptions& options,
                      ProgressLine& line);

}  // namespace shardrift::runner
