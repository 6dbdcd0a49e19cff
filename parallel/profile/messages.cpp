#include "parallel/profile/messages.hpp"

#include "parallel/plan/prompt_groups.hpp"

namespace shardrift {

std::set<std::int64_t> message_counts(const Plan& plan, std::int64_t hidden,
                                      const std::vector<std::int64_t>& prompt_lengths, bool decodes) {
  std::set<std::int64_t> counts;
  for (const auto rows : prefill_rows(plan, prompt_lengths)) counts.insert(rows * hidden);
  if (decodes) counts.insert(plan.batch * hidden);
  return counts;
}

CollectiveOperation operation_of(const Plan& plan) {
  return plan.row_linear == RowLinear::scatter ? CollectiveOperation::reduce_scatter
                                               : CollectiveOperation::all_reduce;
}

std::int64_t called_count(const Plan& plan, std::int64_t count) {
  return plan.row_linear == RowLinear::scatter ? padded_count(count, storage_of(plan.dtype), plan.shards)
                                               : count;
}

std::set<std::int64_t> called_counts(const Plan& plan, const std::set<std::int64_t>& counts) {
  std::set<std::int64_t> called;
  for (const auto count : counts) called.insert(called_count(plan, count));
  return called;
}

}  // namespace shardrift
