#include "parallel/order_models/peer_order.hpp"

#include <algorithm>
#include <vector>

#include "common/error.hpp"

namespace shardrift {

MessagePart two_shot_part(std::int64_t count, DType dtype, int ranks, int rank) {
  const auto unit = std::int64_t{16} / static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t units = (count + unit - 1) / unit;
  const std::int64_t each = units / ranks;
  const std::int64_t more = units % ranks;
  const std::int64_t begin = rank * each + std::min<std::int64_t>(rank, more);
  const std::int64_t end = begin + each + (rank < more ? 1 : 0);
  return {std::min(count, begin * unit), std::min(count, end * unit)};
}

OrderMap peer_map(Collective collective, std::int64_t count, DType dtype, int ranks) {
  if (ranks < 2 || ranks > SumTree::kMaxShards)
    throw usage_error("a {} all-reduce over {} ranks: 2 to {} can sum", name_of(collective), ranks,
                      SumTree::kMaxShards);
  if (count < 1 || collective == Collective::library)
    throw failure("no order of our own for a {} all-reduce of {} elements", name_of(collective), count);
  if (collective == Collective::one_shot) return uniform_map(linear_tree(ranks), count);
  OrderMapBuilder map(count);
  std::vector<int> order(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) {
    for (int k = 0; k < ranks; ++k) order[static_cast<std::size_t>(k)] = (rank + k) % ranks;
    map.append(two_shot_part(count, dtype, ranks, rank).size(), left_to_right(order));
  }
  return map.finish();
}

Accumulator peer_accumulator(DType dtype) {
  return size_of(dtype) == 2 ? Accumulator::float32 : Accumulator::message;
}

}  // namespace shardrift
