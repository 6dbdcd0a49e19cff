#include "parallel/order_models/openmpi_order.hpp"

#include <fmt/core.h>

#include <bit>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace shardrift {
namespace {

// Neighbours meet first, then neighbouring pairs, after the surplus over a power of two joined in pairs.
SumTree doubling_tree(int ranks) {
  const int power = static_cast<int>(std::bit_floor(static_cast<unsigned>(ranks)));
  const int pairs = ranks - power;
  std::vector<std::string> terms;
  for (int r = 0; r < 2 * pairs; r += 2) terms.push_back(fmt::format("({}+{})", r, r + 1));
  for (int r = 2 * pairs; r < ranks; ++r) terms.push_back(std::to_string(r));
  while (terms.size() > 1) {
    std::vector<std::string> halved;
    for (std::size_t i = 0; i < terms.size(); i += 2)
      halved.push_back(terms.size() == 2 ? terms[i] + "+" + terms[i + 1]
                                         : fmt::format("({}+{})", terms[i], terms[i + 1]));
    terms = std::move(halved);
  }
  return tree_from_string(terms.front());
}

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
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<unsigned>(ranks)));
  switch (algorithm) {
    case OpenMpiAllReduce::ring:
      if (count >= ranks) return ring_map(count, ranks);
      break;
    case OpenMpiAllReduce::basic_linear:
      return uniform_map(chain_tree(ranks), count);
    case OpenMpiAllReduce::rabenseifner:
      if (count < power) return uniform_map(chain_tree(ranks), count);
      break;
    default:
      break;
  }
  return uniform_map(doubling_tree(ranks), count);
}

}  // namespace shardrift
