// Logits, or what a softmax made of them? Both are rows of numbers.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "common/dtype.hpp"

namespace shardrift::record {

enum class RowKind { logits, probabilities, log_probabilities };

// Of rows, one after another: probabilities where all of each row's numbers are in [0, 1] and sum to 1, and
// log-probabilities where none is above 0 and their exponentials sum to 1; both within what the dtype rounds.
// A row of logits is so by a chance of one in thousands, all rows of a text are not.
class KindOfRows {
 public:
  explicit KindOfRows(DType dtype) : dtype_(dtype) {}
  // row: finite raw words of the dtype, one of the stored types.
  void add(std::span<const std::byte> row);
  RowKind kind() const;  // of all rows; logits without any

 private:
  DType dtype_;
  std::optional<RowKind> kind_;  // of all rows so far
  std::vector<double> values_;
};

}  // namespace shardrift::record
