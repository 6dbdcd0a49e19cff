#include "parallel/profile/messages.hpp"

#include <algorithm>

#include "parallel/plan/prompt_groups.hpp"

namespace shardrift {

std::int64_t Messages::largest() const {
  return std::max(eager.empty() ? 0 : *eager.rbegin(), captured.empty() ? 0 : *captured.rbegin());
}

Messages messages_of(const Plan& plan, std::int64_t hidden, const std::vector<std::int64_t>& prompt_lengths,
                     bool decodes) {
  Messages messages;
  for (const auto rows : prefill_rows(plan, prompt_lengths)) messages.eager.insert(rows * hidden);
  if (decodes)
    (plan.launch == Launch::captured ? messages.captured : messages.eager).insert(plan.batch * hidden);
  return messages;
}

CollectiveOperation operation_of(const Plan& plan) {
  return plan.row_linear == RowLinear::scatter ? CollectiveOperation::reduce_scatter
                                               : CollectiveOperation::all_reduce;
}

std::int64_t called_count(const Plan& plan, std::int64_t count) {
  return plan.row_linear == RowLinear::scatter ? padded_count(count, storage_of(plan.dtype), plan.shards)
                                               : count;
}

Messages called(const Plan& plan, const Messages& messages) {
  Messages called;
  for (const auto count : messages.eager) called.eager.insert(called_count(plan, count));
  for (const auto count : messages.captured) called.captured.insert(called_count(plan, count));
  return called;
}

}  // namespace shardrift
