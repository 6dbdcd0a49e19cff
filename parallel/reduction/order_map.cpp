#include "parallel/reduction/order_map.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "common/error.hpp"

namespace shardrift {

OrderMap uniform_map(const SumTree& tree, std::int64_t count) {
  OrderMapBuilder builder(count);
  builder.append(count, tree);
  return builder.finish();
}

OrderMapBuilder::OrderMapBuilder(std::int64_t count) {
  if (count < 0) throw failure("an order map of {} elements", count);
  map_.count = count;
}

void OrderMapBuilder::append(std::int64_t elements, const SumTree& tree) {
  if (elements < 0 || elements > map_.count - next_)
    throw failure("an order map of {} elements cannot take {} more after the first {}", map_.count, elements,
                  next_);
  if (elements == 0) return;
  if (!map_.trees.empty() && tree.shards() != map_.shards())
    throw failure("an order map of {} shards got a tree of {}", map_.shards(), tree.shards());
  const auto known = std::find(map_.trees.begin(), map_.trees.end(), tree);
  const auto index = static_cast<std::int32_t>(known - map_.trees.begin());
  if (known == map_.trees.end()) map_.trees.push_back(tree);
  if (!map_.segments.empty() && map_.segments.back().tree == index) {
    map_.segments.back().end += elements;
  } else {
    map_.segments.push_back({next_, next_ + elements, index});
  }
  next_ += elements;
}

OrderMap OrderMapBuilder::finish() {
  if (next_ != map_.count) throw failure("an order map of {} elements was built from {}", map_.count, next_);
  return std::move(map_);
}

std::int64_t first_difference(const OrderMap& a, const OrderMap& b) {
  if (a.count != b.count) throw failure("order maps of {} and {} elements", a.count, b.count);
  auto in_a = a.segments.begin();
  auto in_b = b.segments.begin();
  for (std::int64_t next = 0; next < a.count;) {
    const auto tree = [](const OrderMap& map, const OrderSegment& segment) -> const SumTree& {
      return map.trees[static_cast<std::size_t>(segment.tree)];
    };
    if (tree(a, *in_a) != tree(b, *in_b)) return next;
    next = std::min(in_a->end, in_b->end);
    if (in_a->end == next) ++in_a;
    if (in_b->end == next) ++in_b;
  }
  return -1;
}

std::string describe(const OrderMap& map, int most) {
  std::string text;
  int left = most;
  for (const auto& segment : map.segments) {
    if (!text.empty()) text += " / ";
    if (left-- <= 0) {
      text += fmt::format("… {} segments in all", map.segments.size());
      break;
    }
    text += fmt::format("[{}, {}) {}", segment.begin, segment.end,
                        to_string(map.trees[static_cast<std::size_t>(segment.tree)]));
  }
  return text;
}

}  // namespace shardrift
