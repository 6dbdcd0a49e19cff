// What one step's logits differ by in two runs. docs/compare.md defines every number.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "analysis/rows.hpp"

namespace shardrift::analysis {

struct StepMetrics {
  bool bit_equal = false;            // same dtype and the same words
  std::int64_t elements_differ = 0;  // words of the same dtype, else values
  std::int64_t not_finite =
      0;               // pairs without a finite difference (NaN, infinities); left out of max and mean
  double max_abs = 0;  // max |candidate - reference|
  double sum_abs = 0;  // sum over finite differences; mean = sum / (vocabulary - not_finite)
  double kl = 0;       // KL(reference || candidate), nats; NaN where a softmax has no value
  double delta_p = 0;  // p_candidate - p_reference of the reference's chosen token
  Top reference;
  Top candidate;
};

// Compares rows of one vocabulary size, keeping its buffers.
class RowComparer {
 public:
  RowComparer(DType reference, DType candidate, std::int64_t vocabulary);
  // reference, candidate: stored words of one row each. chosen: the reference's token, in [0, vocabulary).
  StepMetrics compare(const std::byte* reference, const std::byte* candidate, std::int32_t chosen);

 private:
  void softmax_metrics(std::int32_t chosen, StepMetrics& step);

  DType reference_dtype_;
  DType candidate_dtype_;
  std::size_t vocabulary_;
  std::vector<double> reference_;
  std::vector<double> candidate_;
  std::vector<double> reference_exp_;
  std::vector<double> candidate_exp_;
};

}  // namespace shardrift::analysis
