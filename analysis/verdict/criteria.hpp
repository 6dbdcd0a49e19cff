// Limits against what was measured: the three states.
#pragma once
#include <vector>

#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

// `candidate` has its facts, statistics and ratios. Judges every limit of the thresholds.
std::vector<Criterion> judge_limits(const Candidate& candidate, const analysis::Measurement& measurement,
                                    const std::vector<const analysis::Measurement*>& repeats,
                                    const Thresholds& thresholds);

State worst_of(const std::vector<Criterion>& criteria);

}  // namespace shardrift::verdict
