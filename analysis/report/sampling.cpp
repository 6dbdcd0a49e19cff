#include "analysis/report/sampling.hpp"

#include <algorithm>

namespace shardrift::report {

Bins::Bins(std::int64_t first, std::int64_t last, std::size_t most) : first_(first) {
  const std::int64_t size = std::max<std::int64_t>(last - first + 1, 1);
  const auto bins = static_cast<std::int64_t>(std::max<std::size_t>(most, 1));
  width_ = (size + bins - 1) / bins;
  count_ = static_cast<std::size_t>((size + width_ - 1) / width_);
}

std::size_t Bins::of(std::int64_t value) const {
  const std::int64_t bin = (std::max(value, first_) - first_) / width_;
  return std::min(static_cast<std::size_t>(bin), count_ - 1);
}

std::vector<std::size_t> evenly(std::size_t size, std::size_t most) {
  std::vector<std::size_t> out;
  if (size <= most) {
    for (std::size_t i = 0; i < size; ++i) out.push_back(i);
    return out;
  }
  if (most == 1) return {0};
  for (std::size_t i = 0; i < most; ++i) out.push_back(i * (size - 1) / (most - 1));
  return out;
}

}  // namespace shardrift::report
