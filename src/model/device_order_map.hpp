// An order map where a device can read it: encoded once for each message size, then kept (Forward). CPU folds
// read the host copy.
#pragma once
#include <cstdint>

#include "model/backend.hpp"
#include "parallel/reduction/order_map.hpp"

namespace shardrift {

// A tree as "push the next leaf, then add so many times": the shards in the order the program pushes them,
// and the adds after each push. All leaves are known before the first add, so their loads can be in flight
// together.
struct alignas(16) DeviceTree {
  std::uint8_t leaf[SumTree::kMaxShards];
  std::uint8_t adds[SumTree::kMaxShards];
};
DeviceTree device_tree(const SumTree& tree);

struct alignas(16) DeviceSegment {
  std::int64_t end = 0;
  std::int32_t tree = 0;
};

class DeviceOrderMap {
 public:
  DeviceOrderMap() = default;
  DeviceOrderMap(Backend& backend, OrderMap map);

  static constexpr std::int64_t kGranule = 512;  // elements

  const OrderMap& host() const { return map_; }
  std::int64_t count() const { return map_.count; }
  int shards() const { return map_.shards(); }
  int stack() const { return stack_; }  // values that the deepest of its trees holds; 2: all left to right
  bool uniform() const { return map_.segments.size() == 1; }
  const DeviceSegment* segments() const { return segments_.as<DeviceSegment>(); }  // device
  const DeviceTree* trees() const { return trees_.as<DeviceTree>(); }              // device
  // device, [count / kGranule, rounded up]: the segment of each granule's first element
  const std::int32_t* first_segment() const { return first_segment_.as<std::int32_t>(); }

 private:
  OrderMap map_;
  int stack_ = 0;
  Buffer segments_, trees_, first_segment_;
};

// Throws failure where the map was made for another message than out.
void check_fold_shape(const DeviceOrderMap& map, const Matrix& out);

}  // namespace shardrift
