// How people are told where in a run something is: from 1, in text and on the page. JSON and CSV keep `step`,
// the row of the record, from 0.
#pragma once
#include <fmt/core.h>

#include <cstdint>
#include <string>

#include "analysis/measure/run_summary.hpp"

namespace shardrift::analysis {

// "token 5": the fifth generated one; of score runs, which generate nothing, "row 5" of the text.
inline std::string place_text(const RunSummary& reference, std::int64_t step) {
  return fmt::format("{} {}", reference.run.mode == "score" ? "row" : "token", step + 1);
}

}  // namespace shardrift::analysis
