#include "parallel/order_models/openmpi_order.hpp"

#include <vector>

#include "common/error.hpp"
#include "parallel/order_models/doubling_order.hpp"

namespace shardrift {
namespace {

OrderMap ring_map(std::int64_t count, int ranks) {
  OrderMapBuilder map(count);
  for (int chunk = 0; chunk < ranks; ++chunk) {
    std::vector<int> order(static_cast<std::size_t>(ranks));
    for (int k = 0; k < ranks; ++k) order[static_cast<std::size_t>(k)] = (chunk + k) % ranks;
    map.append(count / ranks + (chunk < count % ranks ? 1 : 0), left_to_right(order));
  }
  return map.finish();
}

}  // namespace

int openmpi_algorithm_number(OpenMpiAllReduce algorithm) {
  switch (algorithm) {
    case OpenMpiAllReduce::automatic:
      return 0;
    case OpenMpiAllReduce::basic_linear:
      return 1;
    case OpenMpiAllReduce::recursive_doubling:
      return 3;
    case OpenMpiAllReduce::ring:
      return 4;
    case OpenMpiAllReduce::rabenseifner:
      break;
  }
  return 6;
}

std::optional<OpenMpiAllReduce> openmpi_choice(std::int64_t bytes, int ranks) {
  // Cut-overs of 4.1's fixed decision. It takes the segmented ring from 64 KiB on: the ring's order.
  if (ranks < 4) {
    const bool ring = bytes < 8 || (bytes >= 4096 && bytes < 8192) || (bytes >= 16384 && bytes < 262144);
    if (ring) return OpenMpiAllReduce::ring;
    return bytes < 16384 ? OpenMpiAllReduce::recursive_doubling : OpenMpiAllReduce::rabenseifner;
  }
  if (ranks < 8) {
    if (bytes < 16) return OpenMpiAllReduce::ring;
    return bytes < 8192 ? OpenMpiAllReduce::recursive_doubling : OpenMpiAllReduce::rabenseifner;
  }
  return std::nullopt;
}

std::optional<OrderMap> openmpi_all_reduce_map(std::int64_t count, DType dtype, int ranks,
                                               OpenMpiAllReduce algorithm) {
  if (ranks < 2 || ranks > SumTree::kMaxShards)
    throw usage_error("OpenMPI's all-reduce over {} ranks: the model knows 2 to {}", ranks,
                      SumTree::kMaxShards);
  if (count < 1) throw failure("an all-reduce of {} elements has no order", count);
  if (algorithm == OpenMpiAllReduce::automatic) {
    const auto chosen = openmpi_choice(count * static_cast<std::int64_t>(size_of(dtype)), ranks);
    if (!chosen) return std::nullopt;
    algorithm = *chosen;
  }
  switch (algorithm) {
    case OpenMpiAllReduce::ring:
      if (count >= ranks) return ring_map(count, ranks);
      break;
    case OpenMpiAllReduce::basic_linear:
      return uniform_map(chain_tree(ranks), count);
    case OpenMpiAllReduce::rabenseifner:
      if (count < halving_parts(ranks)) return uniform_map(chain_tree(ranks), count);
      break;
    default:
      break;
  }
  return uniform_map(doubling_tree(ranks), count);
}

}  // namespace shardrift
