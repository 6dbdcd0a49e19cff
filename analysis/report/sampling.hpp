// Fewer points that say the same: equal bins and evenly thinned lists.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shardrift::report {

// Bins of equal width over whole numbers [first, last], at most `most` of them.
class Bins {
 public:
  Bins(std::int64_t first, std::int64_t last, std::size_t most);
  std::size_t count() const { return count_; }
  std::size_t of(std::int64_t value) const;  // values outside fall into the first or last bin
  std::int64_t begin(std::size_t bin) const { return first_ + static_cast<std::int64_t>(bin) * width_; }
  std::int64_t width() const { return width_; }

 private:
  std::int64_t first_;
  std::int64_t width_;
  std::size_t count_;
};

// Indices 0 … size-1, at most `most` of them, evenly spread, first and last included.
std::vector<std::size_t> evenly(std::size_t size, std::size_t most);

}  // namespace shardrift::report
