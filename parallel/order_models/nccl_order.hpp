// Which tree NCCL adds each element of an all-reduce by: a model, read in the source of NCCL 2.28.9 and
// measured on 2, 3 and 4 H100s of one NVSwitch host. It is version specific (2.29.2 changed the partition):
// believe it only where a probe of the same machine agrees (parallel/profile).
//
// Every hop rounds to the message's dtype, so a predicted sum folds with Accumulator::message.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "common/dtype.hpp"
#include "common/named_enum.hpp"
#include "parallel/reduction/order_map.hpp"

namespace shardrift {

enum class NcclAlgorithm { ring, tree };
constexpr auto names_of(NcclAlgorithm) {
  return std::to_array<Named<NcclAlgorithm>>({{NcclAlgorithm::ring, "ring"}, {NcclAlgorithm::tree, "tree"}});
}
enum class NcclProtocol { ll, ll128, simple };
constexpr auto names_of(NcclProtocol) {
  return std::to_array<Named<NcclProtocol>>(
      {{NcclProtocol::ll, "ll"}, {NcclProtocol::ll128, "ll128"}, {NcclProtocol::simple, "simple"}});
}

// What one all-reduce depends on beside its size: a property of the communicator.
struct NcclCommunicator {
  int ranks = 0;     // 2 to 64
  int channels = 0;  // of the communicator ("24 coll channels" in NCCL's log), 1 to 64
  // The ranks in the order of each channel's ring, starting anywhere. Empty: 0 1 2 … on every channel. One
  // ring: that one on every channel. Else one for each channel.
  std::vector<std::vector<int>> rings;
  // Tree: how each channel, from the first on, adds its part. Empty: the chain N-1, …, 1, 0 on every channel.
  std::vector<SumTree> trees;
};

// A piece of a message and the channel that carries it, before it is cut into chunks.
struct NcclRange {
  std::int64_t begin = 0;  // element
  std::int64_t end = 0;
  bool operator==(const NcclRange&) const = default;
};

// The channels' ranges, in order, covering [0, count). Throws failure for a count below 1.
std::vector<NcclRange> nccl_ranges(std::int64_t count, DType dtype, int ranks, int channels,
                                   NcclAlgorithm algorithm, NcclProtocol protocol);

// Ring: chunk c of each channel's loop is ((R[c+1] + R[c+2]) + …) + R[c] over that channel's ring R.
// Throws usage_error where the communicator is none (ranks, channels, a ring that is no permutation).
OrderMap nccl_ring_map(std::int64_t count, DType dtype, const NcclCommunicator& communicator,
                       NcclProtocol protocol);

// Tree within one node: one tree for each channel's range. Without communicator.trees the chain N-1, …, 1, 0
// for 2 and 4 ranks, and for 3 where one channel carries the message: measured on H100s, where 3 ranks take
// three different chains by channel. nullopt where that is not known, to be probed.
std::optional<OrderMap> nccl_tree_map(std::int64_t count, DType dtype, const NcclCommunicator& communicator,
                                      NcclProtocol protocol);

std::optional<OrderMap> nccl_map(std::int64_t count, DType dtype, const NcclCommunicator& communicator,
                                 NcclAlgorithm algorithm, NcclProtocol protocol);

// Reduce-scatter (ring): part k of N goes to rank k and is ((k+1) + (k+2) + …) + k as a whole; count, the
// elements of the whole message, is a multiple of the ranks. nullopt where the channels' rings differ.
std::optional<OrderMap> nccl_reduce_scatter_map(std::int64_t count, const NcclCommunicator& communicator);

// Which protocol NCCL chooses goes by bytes, from ll over ll128 to simple as messages grow; where it changes
// depends on version and machine, so it is known only as far as it was seen: for messages of first to last
// bytes, some protocol from `lowest` to `highest` (equal where the probe tells them apart).
struct NcclProtocolSpan {
  std::int64_t first_bytes = 0;
  std::int64_t last_bytes = 0;
  NcclProtocol lowest = NcclProtocol::ll;
  NcclProtocol highest = NcclProtocol::simple;
  bool operator==(const NcclProtocolSpan&) const = default;
};

// The protocols possible for that size: none lower than what a smaller message took, none higher than what a
// larger one did. Spans in any order; empty where they contradict each other.
std::vector<NcclProtocol> possible_protocols(const std::vector<NcclProtocolSpan>& spans, std::int64_t bytes);

}  // namespace shardrift
