#include "parallel/plan/prompt_groups.hpp"

#include <algorithm>
#include <numeric>

namespace shardrift {
namespace {

std::vector<Range> cut(std::int64_t count, std::int64_t size) {
  std::vector<Range> parts;
  for (std::int64_t begin = 0; begin < count; begin += size)
    parts.push_back({begin, std::min(count, begin + size)});
  return parts;
}

}  // namespace

std::vector<Range> prompt_groups(const Plan& plan, std::int64_t prompts) {
  return cut(prompts, std::max(plan.batch, plan.prefill_batch));
}

std::vector<Range> prefill_passes(const Plan& plan, std::int64_t group) {
  return cut(group, plan.prefill_batch);
}

std::set<std::int64_t> prefill_rows(const Plan& plan, const std::vector<std::int64_t>& prompt_lengths) {
  std::set<std::int64_t> rows;
  for (const Range& group : prompt_groups(plan, static_cast<std::int64_t>(prompt_lengths.size())))
    for (const Range& pass : prefill_passes(plan, group.size())) {
      const auto first = prompt_lengths.begin() + group.begin;
      rows.insert(std::accumulate(first + pass.begin, first + pass.end, std::int64_t{0}));
    }
  return rows;
}

}  // namespace shardrift
