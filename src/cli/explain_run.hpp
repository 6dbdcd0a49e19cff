// shardrift explain --run: runs the rungs of an explanation ladder through the worker, then measures it.
#pragma once
#include "cli/explain_output.hpp"
#include "cli/explain_subject.hpp"
#include "common/error.hpp"

namespace shardrift::cli {

// Runs what is missing and shows the ladder. Exit codes as explain's, 70 where a rung failed, 75
// interrupted.
ExitCode explain_run(const ExplainRunFlags& flags, ExplainOutput& output);

}  // namespace shardrift::cli
