#include "parallel/order_models/vllm_order.hpp"

#include <vector>

#include "common/error.hpp"

namespace shardrift {
namespace {

void require_taken(std::int64_t count, DType dtype, int ranks) {
  require_vllm_ranks(ranks);
  const auto bytes = count * static_cast<std::int64_t>(size_of(dtype));
  if (count < 1 || bytes % kVllmPack != 0)
    throw usage_error(
        "vLLM {}'s custom all-reduce does not sum a message of {} bytes, which is no multiple of {}: there "
        "the next in line does, NCCL at last; use --reduction profile with a profile of it",
        kVllmVersion, bytes, kVllmPack);
}

}  // namespace

bool vllm_custom_takes(int ranks) {
  return ranks == 2 || ranks == 4 || ranks == 6 || ranks == 8;
}

void require_vllm_ranks(int ranks) {
  if (!vllm_custom_takes(ranks))
    throw usage_error(
        "vLLM {}'s custom all-reduce sums 2, 4, 6 or 8 ranks, not {}: there NCCL does; use --reduction "
        "profile with a profile of it, or --shards 2, 4, 6 or 8",
        kVllmVersion, ranks);
}

OrderMap vllm_one_stage_map(std::int64_t count, DType dtype, int ranks) {
  require_taken(count, dtype, ranks);
  return uniform_map(linear_tree(ranks), count);
}

OrderMap vllm_two_stage_map(std::int64_t count, DType dtype, int ranks) {
  require_taken(count, dtype, ranks);
  const auto pack = kVllmPack / static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t part = count / pack / ranks * pack;
  OrderMapBuilder map(count);
  std::vector<int> order(static_cast<std::size_t>(ranks));
  for (int owner = 0; owner < ranks; ++owner) {
    for (int k = 0; k < ranks; ++k) order[static_cast<std::size_t>(k)] = (owner + k) % ranks;
    map.append(owner == ranks - 1 ? count - owner * part : part, left_to_right(order));
  }
  return map.finish();
}

}  // namespace shardrift
