// What lists of the most likely tokens say of rows without logits.
#pragma once
#include <vector>

#include "analysis/measure/measurement.hpp"

namespace shardrift::analysis {

// Of each step the margins (differences of log-probabilities are those of logits) and each side's probability
// of its own choice; a side whose list has one token has no margin. The other numbers keep no value: a token
// that is not in the other side's list would be left out of every mean, and those are the ones that moved
// far.
void measure_top(const record::Top& reference, const record::Top& candidate, std::vector<Step>& steps);

}  // namespace shardrift::analysis
