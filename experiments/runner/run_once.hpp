// One command of the worker that makes no record (a graft), run to its end: nothing of it is kept to go on
// from.
#pragma once
#include "common/progress_line.hpp"
#include "experiments/runner/runner.hpp"
#include "experiments/study/configuration.hpp"

namespace shardrift::runner {

// The file that it writes is configuration.output; its log lies in the folder `logs` beside it. Shows the
// log's last line. On one device: the machine's first GPU, where it is to run on one. False: interrupted.
// Throws failure with the worker's own words, or usage_error or bad_data where the worker found the mistake
// there.
bool run_once(const study::Configuration& configuration, const RunnerOptions& options, ProgressLine& line);

}  // namespace shardrift::runner
