// Which prompts go through the model together. A run's prompts are cut into groups of consecutive ones, the
// same wherever replicas are; the prompts of a group are decoded together, and prefilled in passes of
// consecutive prompts of the group. Shapes of products follow from it, and so do bits.
#pragma once
#include <cstdint>
#include <set>
#include <vector>

#include "parallel/plan/plan.hpp"

namespace shardrift {

// Of prompts [0, prompts): `batch` each, or `prefill_batch` where that is more (score, which decodes
// nothing). The last may have fewer.
std::vector<Range> prompt_groups(const Plan& plan, std::int64_t prompts);
// Of a group of so many prompts, counted from its first: `prefill_batch` each, the last may have fewer.
std::vector<Range> prefill_passes(const Plan& plan, std::int64_t group);

// The numbers of rows that prefill passes have: the lengths of their prompts, added up.
std::set<std::int64_t> prefill_rows(const Plan& plan, const std::vector<std::int64_t>& prompt_lengths);

}  // namespace shardrift
