#include "record/shifted_rows.hpp"

#include <utility>

namespace shardrift::record {

void ShiftedRows::add(const PromptRecord& record) {
  const auto& rows = record.rows;
  for (std::size_t i = 0; i + 2 < rows.size(); ++i) {
    // Of the prompt's own tokens nothing was chosen.
    if (static_cast<std::size_t>(rows[i].position) < record.prompt.tokens.size()) continue;
    const auto own = rows[i + 1].input_id;
    before_.add(rows[i].chosen, own, rows[i].input_id);
    after_.add(rows[i].chosen, own, rows[i + 2].input_id);
  }
}

void ShiftedRows::Side::add(std::int32_t chosen, std::int32_t own, std::int32_t neighbour) {
  if (own == neighbour) return;  // tells neither
  ++rows;
  right += chosen == own ? 1 : 0;
  so += chosen == neighbour ? 1 : 0;
}

std::optional<ShiftedRows::Shift> ShiftedRows::shift() const {
  constexpr std::int64_t kFewest = 4;  // fewer may be so by chance
  for (const auto& [chose, side] :
       {std::pair(Chose::token_before, before_), std::pair(Chose::token_after, after_)})
    if (side.rows >= kFewest && 10 * side.right <= side.rows && 10 * side.so >= 9 * side.rows)
      return Shift{chose, side.rows, side.so, side.right};
  return std::nullopt;
}

}  // namespace shardrift::record
