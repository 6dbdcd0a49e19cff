// Whether other engines' commands can run here, asked before any run spends time.
#pragma once
#include <string>
#include <vector>

#include "experiments/runner/launch.hpp"
#include "experiments/study/plan_study.hpp"

namespace shardrift::runner {

// Throws bad_data that lists, with file and line, the runs among `names` whose program is not there, or whose
// command, where it takes --check (study::Entry::checks), refuses what the run would give it: a Python
// without torch, a flag that it does not know. The commands write nothing; each is asked once, however many
// runs have it.
void require_engines(const study::Study& study, const study::StudyPlan& plan,
                     const std::vector<std::string>& names, const Launcher& launcher);

}  // namespace shardrift::runner
