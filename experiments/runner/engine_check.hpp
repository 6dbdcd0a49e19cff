// Whether other engines' commands can run here, asked before any run spends time.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "experiments/runner/launch.hpp"
#include "experiments/study/plan_study.hpp"

namespace shardrift::runner {

// How long one command is waited for.
struct Asking {
  // say(text) is called where a command takes longer than `quiet`, once for each: which one, and for how
  // long.
  std::function<void(const std::string&)> say;
  std::chrono::milliseconds quiet = std::chrono::seconds(3);
  // It is killed then, with all it started: torchrun imports torch before it starts what answers, which takes
  // seconds.
  std::chrono::milliseconds limit = std::chrono::seconds(60);
};

// Throws bad_data that lists, with file and line, the runs among `names` whose program is not there, or whose
// command, where it takes --check (study::Entry::checks), refuses what the run would give it: a Python
// without torch, a flag that it does not know; or that does not answer in time. The commands write nothing;
// each is asked once, however many runs have it.
void require_engines(const study::Study& study, const study::StudyPlan& plan,
                     const std::vector<std::string>& names, const Launcher& launcher,
                     const Asking& asking = {});

}  // namespace shardrift::runner
