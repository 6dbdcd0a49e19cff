// Which tree adds each element of a message: what a collective's order map is, and what the local fold runs.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "parallel/reduction/sum_tree.hpp"

namespace shardrift {

struct OrderSegment {  // elements [begin, end) are added by trees[tree]
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int32_t tree = 0;
  bool operator==(const OrderSegment&) const = default;
};

struct OrderMap {
  std::int64_t count = 0;              // elements of the message
  std::vector<OrderSegment> segments;  // sorted, covering [0, count), neighbours have different trees
  std::vector<SumTree> trees;          // distinct, in order of first use
  int shards() const { return trees.empty() ? 0 : trees.front().shards(); }
  bool operator==(const OrderMap&) const = default;
};

// One tree for the whole message.
OrderMap uniform_map(const SumTree& tree, std::int64_t count);
// Builds the canonical form from per-piece trees (adjacent pieces with one tree are joined, empty ones
// dropped).
class OrderMapBuilder {
 public:
  explicit OrderMapBuilder(std::int64_t count);
  void append(std::int64_t elements, const SumTree& tree);  // the next `elements` elements
  OrderMap finish();                                        // throws failure if they do not add up to count

 private:
  OrderMap map_;
  std::int64_t next_ = 0;
};

// First element that the two maps add differently, or -1. Maps of different counts throw failure.
std::int64_t first_difference(const OrderMap& a, const OrderMap& b);
// "[0, 1024) ((1+2)+3)+0 / [1024, 2048) …": for people, at most `most` segments.
std::string describe(const OrderMap& map, int most = 8);

}  // namespace shardrift
