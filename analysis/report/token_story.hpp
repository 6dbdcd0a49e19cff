// The tokens of prompts that flip, for the report: without reading a row of logits.
#pragma once
#include <cstddef>
#include <vector>

#include "analysis/compare/token_table.hpp"
#include "analysis/measure/measurement.hpp"
#include "record/reader.hpp"

namespace shardrift::report {

inline constexpr std::int64_t kRowsBefore = 10;  // of the flip
inline constexpr std::int64_t kRowsAfter = 9;

// One table for every prompt that flips, in the measurement's order. Probabilities up to the flip are the
// measured ones, later ones those of the recorded top lists (nullopt where there is none).
std::vector<analysis::TokenTable> token_stories(const analysis::Measurement& measurement,
                                                const record::Reader& reference,
                                                const record::Reader& candidate);

}  // namespace shardrift::report
