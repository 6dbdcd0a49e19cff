// Percentiles by linear interpolation between order statistics (Hyndman and Fan's type 7, what NumPy and R
// do by default): the p-th of n sorted values is at index p (n - 1).
#pragma once
#include <cstdint>
#include <vector>

namespace shardrift::statistics {

// Sorts; NaN is left out, infinities stay. p in [0, 1]. NaN where no value is left.
double percentile(std::vector<double> values, double p);
// The same of values that are sorted already and have no NaN.
double percentile_of_sorted(const std::vector<double>& sorted, double p);

// Values that belong to prompts, sorted once; percentiles of any resample of prompts without walking through
// all of them: sorted values lie in blocks, and how many of each prompt lie before a block is known.
class ClusteredValues {
 public:
  // values[j]: of prompt j. NaN is left out.
  explicit ClusteredValues(const std::vector<std::vector<double>>& values);
  std::int64_t size() const { return static_cast<std::int64_t>(sorted_.size()); }
  double percentile(double p) const { return percentile_of_sorted(sorted_, p); }
  // As if prompt j were there drawn[j] times.
  double percentile(double p, const std::vector<std::uint32_t>& drawn) const;

 private:
  std::int64_t drawn_before(std::size_t block, const std::vector<std::uint32_t>& drawn) const;
  // The value at this index of the resample, and the next one there.
  double at(std::int64_t index, const std::vector<std::uint32_t>& drawn, double& next) const;

  std::vector<double> sorted_;
  std::vector<std::uint32_t> prompt_;  // of sorted_[i]
  std::size_t prompts_ = 0;
  std::size_t block_ = 1;  // values in a block
  std::size_t blocks_ = 0;
  std::vector<std::uint32_t> before_;  // [blocks + 1][prompts] values before the block
};

}  // namespace shardrift::statistics
