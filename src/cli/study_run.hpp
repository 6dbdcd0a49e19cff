// What `shardrift study` and `shardrift scale-out` share: flags, the plan on the screen, running it, and the
// conclusion.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/arguments.hpp"
#include "common/error.hpp"
#include "experiments/runner/runner.hpp"
#include "experiments/study/study.hpp"

namespace shardrift::cli {

struct StudyFlags {
  std::filesystem::path output;
  bool dry_run = false;
  bool rerun_changed = false;
  bool no_run = false;
  std::string only;  // names, separated by commas
  int jobs = 1;
  std::filesystem::path worker;
  std::string launcher;
  std::string device = "auto";
  int devices = 0;
  std::vector<std::string> collective_profiles;
};

void add_study_options(Arguments& known, StudyFlags& flags);

// Prints the plan of the study that `make` gives for this machine; unless --dry-run: runs what is missing,
// compares, reports, also where it was interrupted or a run failed: what there is. Exit codes: 0 every chosen
// run is done and compared, 2 one is not possible here or its record cannot be used (--no-run: or has none),
// 70 some failed, 75 interrupted.
ExitCode run_study(const std::function<study::Study(const study::Machine&)>& make, const StudyFlags& flags);

// The plan as text: machine, every run with its estimates and state, what is predicted and how, what is not
// possible, the sums. free_bytes: of the output's disk; below 0: not known.
std::string plan_text(const study::Study& study, const study::StudyPlan& plan,
                      const runner::RunnerOptions& options, double free_bytes);

}  // namespace shardrift::cli
