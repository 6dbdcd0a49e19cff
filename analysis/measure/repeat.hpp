// Whether a record may stand for another's configuration run once more. What is no repeat would be taken off
// as if it were the machine's own noise.
#pragma once
#include <string>

#include "analysis/measure/run_summary.hpp"

namespace shardrift::analysis {

// Why `again` is no repeat of `one`, for a message: the same file or a copy of it, another mode, plan or
// engine, dtype, model or weights. Empty: nothing speaks against it.
std::string why_no_repeat(const RunSummary& one, const RunSummary& again);

}  // namespace shardrift::analysis
