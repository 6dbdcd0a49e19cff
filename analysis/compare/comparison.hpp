// What compare finds of one candidate.
#pragma once
#include <optional>

#include "analysis/compare/token_table.hpp"
#include "analysis/measure/measurement.hpp"

namespace shardrift::analysis {

struct Comparison {
  Measurement measurement;
  std::optional<TokenTable> table;  // of one prompt
};

}  // namespace shardrift::analysis
