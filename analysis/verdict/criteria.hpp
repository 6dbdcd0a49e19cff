// Limits against what was measured: the three states.
#pragma once
#include <vector>

#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

// `candidate` has its statistics and ratios. Judges every limit of the thresholds.
std::vector<Criterion> judge_limits(const Candidate& candidate, const analysis::Measurement& measurement,
                                    const std::vector<const analysis::Measurement*>& repeats,
                                    const Thresholds& thresholds);

// Rows in which either side has logits that no distribution can be made of (NaN, +infinity), of equal bits
// too.
std::int64_t rows_without_value(const analysis::Measurement& measurement);

State worst_of(const std::vector<Criterion>& criteria);

}  // namespace shardrift::verdict
