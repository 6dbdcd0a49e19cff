// What compare finds of one candidate.
#pragma once
#include <optional>

#include "analysis/compare/token_table.hpp"
#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/run_to_run.hpp"

namespace shardrift::analysis {

struct Comparison {
  Measurement measurement;
  std::optional<TokenTable> table;                 // of one prompt
  std::optional<statistics::RunToRun> run_to_run;  // where repeats of the candidate were given
};

}  // namespace shardrift::analysis
