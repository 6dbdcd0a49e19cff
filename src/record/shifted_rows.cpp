#include "record/shifted_rows.hpp"

#include <algorithm>

namespace shardrift::record {

void ShiftedRows::add(const PromptRecord& record) {
  const auto& rows = record.rows;
  for (std::size_t i = 0; i + 2 < rows.size(); ++i) {
    // Of the prompt's own tokens nothing was chosen.
    if (static_cast<std::size_t>(rows[i].position) < record.prompt.tokens.size()) continue;
    ++rows_;
    before_ += rows[i].chosen == rows[i].input_id ? 1 : 0;
    right_ += rows[i].chosen == rows[i + 1].input_id ? 1 : 0;
    after_ += rows[i].chosen == rows[i + 2].input_id ? 1 : 0;
  }
}

std::optional<ShiftedRows::Shift> ShiftedRows::shift() const {
  constexpr std::int64_t kFewest = 4;  // fewer may be so by chance
  const auto so = std::max(before_, after_);
  if (rows_ < kFewest || 10 * right_ > rows_ || 10 * so < 9 * rows_) return std::nullopt;
  return Shift{before_ > after_ ? Chose::token_before : Chose::token_after, rows_, so, right_};
}

}  // namespace shardrift::record
