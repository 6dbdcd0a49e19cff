// Logits, or what a softmax made of them? Both are rows of numbers.
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "record/reader.hpp"

namespace shardrift::record {

enum class RowKind { logits, probabilities, log_probabilities };

// Of rows, one after another: probabilities where all of each row's numbers are in [0, 1] and sum to 1, and
// log-probabilities where none is above 0 and their exponentials sum to 1; both within what the dtype rounds.
// A row of logits is so by a chance of one in thousands, all rows of a text are not. Rows that are all one 1
// and else zeros were written by hand, as logits: no softmax makes these.
class KindOfRows {
 public:
  explicit KindOfRows(DType dtype) : dtype_(dtype) {}
  // row: finite raw words of the dtype, one of the stored types.
  void add(std::span<const std::byte> row);
  RowKind kind() const;  // of all rows; logits without any
  bool is_settled() const { return kind_ && *kind_ != RowKind::probabilities; }  // no row makes it these

 private:
  DType dtype_;
  std::optional<RowKind> kind_;  // of all rows so far
  std::vector<double> values_;
  bool spread_ = false;  // of probabilities: some row has a number between 0 and 1
};

// Whether all finite rows of these prompts that have logits are probabilities, and there are some. Reads no
// further than to the first row that is none. Throws what LogitsRows::open and read throw.
bool holds_probabilities(const Reader& reader, const std::vector<std::string>& prompts);

}  // namespace shardrift::record
