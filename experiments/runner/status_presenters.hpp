// What became of a study on this machine, in words.
#pragma once
#include <string>

#include "common/error.hpp"
#include "experiments/runner/status.hpp"

namespace shardrift::runner {

// alive: the study, or workers of it, run at this moment.
std::string status_text(const StudyStatus& status, bool alive);
// ok: every run is done; interrupted: the study runs; failure: it does not, and something is missing.
ExitCode exit_code(const StudyStatus& status, bool alive);

}  // namespace shardrift::runner
