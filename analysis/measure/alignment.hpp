// Which rows of two runs may be compared: by the token fed and its position, never by row number alone.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "record/record.hpp"

namespace shardrift::analysis {

// Rows reference[reference_begin + i] and candidate[candidate_begin + i], 0 <= i < count, saw the same tokens
// at the same positions. Free-running rows are comparable up to and including the step at which the chosen
// token first differs: the next row was fed another token.
struct Alignment {
  std::int64_t reference_begin = 0;
  std::int64_t candidate_begin = 0;
  std::int64_t count = 0;
};
// Both rows' positions ascend (Reader checks it); the prompts' tokens must be equal.
Alignment align(const std::vector<record::Row>& reference, const std::vector<record::Row>& candidate);

// The first i in [0, count) at which the chosen tokens differ.
std::optional<std::int64_t> first_flip(const std::vector<record::Row>& reference,
                                       const std::vector<record::Row>& candidate, const Alignment& alignment);

}  // namespace shardrift::analysis
