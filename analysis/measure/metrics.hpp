// What one step's logits differ by in two runs. docs/metrics.md defines every number.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/measure/rows.hpp"

namespace shardrift::analysis {

// Compares rows of one vocabulary size, keeping its buffers.
class RowComparer {
 public:
  static constexpr std::int32_t kNoToken = -1;
  static constexpr std::size_t kTop = 10;  // of Step::top_overlap

  RowComparer(DType reference, DType candidate, std::int64_t vocabulary);
  // reference, candidate: stored words of one row each. next: the token that the reference was given after
  // this row, or kNoToken. step: its chosen tokens are set, in [0, vocabulary); its numbers are set here.
  void compare(const std::byte* reference, const std::byte* candidate, std::int32_t next, Step& step);

 private:
  void compare_equal(std::int32_t next, Step& step);
  void compare_values(const std::byte* reference, const std::byte* candidate, Step& step);
  void compare_softmax(const Top& x_top, const Top& y_top, std::int32_t next, Step& step);

  DType reference_dtype_;
  DType candidate_dtype_;
  std::size_t vocabulary_;
  std::vector<double> reference_;
  std::vector<double> candidate_;
  std::vector<double> reference_exp_;
  std::vector<double> candidate_exp_;
};

}  // namespace shardrift::analysis
