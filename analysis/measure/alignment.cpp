#include "analysis/measure/alignment.hpp"

#include <algorithm>

namespace shardrift::analysis {

Alignment align(const std::vector<record::Row>& reference, const std::vector<record::Row>& candidate) {
  Alignment alignment;
  if (reference.empty() || candidate.empty()) return alignment;
  // score records every row, greedy those from the last prompt token on: start where both have rows.
  const std::int32_t start = std::max(reference.front().position, candidate.front().position);
  const auto from = [start](const std::vector<record::Row>& rows) {
    return std::find_if(rows.begin(), rows.end(), [start](const auto& row) { return row.position >= start; });
  };
  auto r = from(reference);
  auto c = from(candidate);
  alignment.reference_begin = r - reference.begin();
  alignment.candidate_begin = c - candidate.begin();
  for (; r != reference.end() && c != candidate.end(); ++r, ++c, ++alignment.count)
    if (r->position != c->position || r->input_id != c->input_id) break;
  return alignment;
}

std::optional<std::int64_t> first_flip(const std::vector<record::Row>& reference,
                                       const std::vector<record::Row>& candidate,
                                       const Alignment& alignment) {
  for (std::int64_t i = 0; i < alignment.count; ++i) {
    const auto& r = reference[static_cast<std::size_t>(alignment.reference_begin + i)];
    const auto& c = candidate[static_cast<std::size_t>(alignment.candidate_begin + i)];
    if (r.chosen != c.chosen) return i;
  }
  return std::nullopt;
}

}  // namespace shardrift::analysis
