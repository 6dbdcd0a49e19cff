#include "model/device_order_map.hpp"

#include <algorithm>
#include <vector>

#include "common/error.hpp"

namespace shardrift {
DeviceTree device_tree(const SumTree& tree) {
  DeviceTree coded{};
  std::size_t leaves = 0;
  for (const auto step : tree.program) {
    if (step == SumTree::kAdd) {
      ++coded.adds[leaves - 1];
    } else {
      coded.leaf[leaves++] = static_cast<std::uint8_t>(step);
    }
  }
  return coded;
}

DeviceOrderMap::DeviceOrderMap(Backend& backend, OrderMap map) : map_(std::move(map)) {
  std::vector<DeviceTree> trees;
  for (const auto& tree : map_.trees) {
    trees.push_back(device_tree(tree));
    stack_ = std::max(stack_, stack_depth(tree));
  }
  std::vector<DeviceSegment> segments;
  std::vector<std::int32_t> first;
  for (const auto& segment : map_.segments) {
    const auto index = static_cast<std::int32_t>(segments.size());
    while (static_cast<std::int64_t>(first.size()) * kGranule < segment.end) first.push_back(index);
    segments.push_back({segment.end, segment.tree});
  }
  trees_ = uploaded(backend, trees);
  segments_ = uploaded(backend, segments);
  first_segment_ = uploaded(backend, first);
}

void check_fold_shape(const DeviceOrderMap& map, const Matrix& out) {
  if (map.count() != out.count())
    throw failure("an order map of {} elements for a message of {}: this is a bug", map.count(), out.count());
}

}  // namespace shardrift
