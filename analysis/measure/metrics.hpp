// What one step's logits differ by in two runs. docs/metrics.md defines every number.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/measure/rows.hpp"

namespace shardrift::analysis {

// Compares rows of one vocabulary size, keeping its buffers. For one thread.
class RowComparer {
 public:
  static constexpr std::int32_t kNoToken = -1;
  static constexpr std::size_t kTop = 10;  // of Step::top_overlap

  RowComparer(DType reference, DType candidate, std::int64_t vocabulary);
  // reference, candidate: stored words of one row each. next: the token that the reference was given after
  // this row, or kNoToken. step: its chosen tokens are set, in [0, vocabulary); its numbers are set here.
  void compare(const std::byte* reference, const std::byte* candidate, std::int32_t next, Step& step);

 private:
  struct Side {
    DType dtype;
    std::vector<double> row;
    std::vector<double> exps;
    TopFinder finder;
    Top top;
    double sum = 0;  // of exps

    void read(const std::byte* words);
    double probability(std::int32_t token) const;
    double log_probability(std::int32_t token) const;
  };
  void compare_tops(const Side& candidate, Step& step) const;
  void compare_values(const std::byte* reference, const std::byte* candidate, Step& step) const;
  void compare_probabilities(const Side& candidate, std::int32_t next, Step& step) const;

  Side reference_;
  Side candidate_;
};

}  // namespace shardrift::analysis
