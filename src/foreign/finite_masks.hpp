// Columns that an engine masked with a number in place of an infinity.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/dtype.hpp"

namespace shardrift::foreign {

// What programs write for "never": -1e9, torch.finfo(dtype).min. No model computes such a logit. It has no
// probability, so that no divergence sees it, but it is the largest difference to whoever masks otherwise.
class FiniteMasks {
 public:
  FiniteMasks(DType dtype, std::int64_t vocabulary);
  // where, row: how the note names it. words: one row of finite words of the dtype.
  void add(const std::string& where, std::int64_t row, std::span<const std::byte> words);
  std::optional<std::string> note() const;  // of all rows; nullopt where none is masked

 private:
  DType dtype_;
  std::vector<double> values_;
  std::vector<bool> columns_;  // those masked in any row
  std::int64_t rows_ = 0;
  std::int64_t masked_rows_ = 0;
  double lowest_ = 0;
  std::string first_;  // the first masked row
};

}  // namespace shardrift::foreign
