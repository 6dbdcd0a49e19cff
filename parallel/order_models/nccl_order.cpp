// The steps are those of NCCL 2.28.9's scheduler (scheduleCollTasksToPlan) and of its ring kernel; the names
// in comments are its own. NCCL counts in bytes and cells first and cuts the last range to the message's end.
#include "parallel/order_models/nccl_order.hpp"

#include <algorithm>
#include <numeric>

#include "common/error.hpp"

namespace shardrift {
namespace {

constexpr int kMaxChannels = 64;             // MAXCHANNELS
constexpr std::int64_t kMinTraffic = 16384;  // MinTrafficPerChannel, bytes
constexpr std::int64_t kAlignment = 16;      // bytes a chunk's length is rounded up to

std::int64_t divide_up(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

struct ProtocolNumbers {
  std::int64_t cell;     // bytes that channels are dealt
  std::int64_t traffic;  // bytes moved for one byte of message
  std::int64_t chunk;    // bytes of one rank's chunk in a full loop
};

ProtocolNumbers numbers_of(NcclProtocol protocol) {
  switch (protocol) {
    case NcclProtocol::ll:
      return {2048, 8, 32768};
    case NcclProtocol::ll128:
      return {8192, 2, 576000};
    case NcclProtocol::simple:
      break;
  }
  return {8192, 2, 2 << 20};
}

// Bytes below which a channel is not worth its threads: threads x threshold of one thread.
std::int64_t channel_threshold(NcclAlgorithm algorithm, NcclProtocol protocol, int ranks) {
  switch (protocol) {
    case NcclProtocol::ll:
      return algorithm == NcclAlgorithm::ring ? std::int64_t{512} * 8 * ranks : std::int64_t{512} * 8;
    case NcclProtocol::ll128:
      return std::int64_t{640} * 8;
    case NcclProtocol::simple:
      break;
  }
  return std::int64_t{512} * 64;
}

void check(const NcclCommunicator& communicator) {
  const auto& [ranks, channels, rings, trees] = communicator;
  if (ranks < 2 || ranks > SumTree::kMaxShards)
    throw usage_error("an NCCL communicator of {} ranks: the model knows 2 to {}", ranks,
                      SumTree::kMaxShards);
  if (channels < 1 || channels > kMaxChannels)
    throw usage_error("an NCCL communicator of {} channels: use 1 to {}", channels, kMaxChannels);
  if (rings.size() > 1 && rings.size() != static_cast<std::size_t>(channels))
    throw usage_error("{} rings for {} channels: give one, or one for each channel", rings.size(), channels);
  for (const auto& tree : trees)
    if (tree.shards() != ranks)
      throw usage_error("channel tree {}: not a tree of {} ranks", to_string(tree), ranks);
  for (std::size_t c = 0; c < rings.size(); ++c) {
    auto sorted = rings[c];
    std::sort(sorted.begin(), sorted.end());
    for (int r = 0; r < ranks; ++r)
      if (sorted.size() != static_cast<std::size_t>(ranks) || sorted[static_cast<std::size_t>(r)] != r)
        throw usage_error("ring {}: not an order of the ranks 0 to {}", c, ranks - 1);
  }
}

// Trees of one ring's chunks: chunk c is ((R[c+1] + R[c+2]) + …) + R[c], R turned so that it starts at rank 0
// (NCCL numbers chunks by the distance from rank 0 along the ring).
std::vector<SumTree> chunk_trees(std::vector<int> ring) {
  std::rotate(ring.begin(), std::find(ring.begin(), ring.end(), 0), ring.end());
  std::vector<SumTree> trees;
  for (std::size_t c = 0; c < ring.size(); ++c) {
    std::vector<int> order;
    for (std::size_t k = 1; k <= ring.size(); ++k) order.push_back(ring[(c + k) % ring.size()]);
    trees.push_back(left_to_right(order));
  }
  return trees;
}

// One tree list for all channels, or one for each.
std::vector<std::vector<SumTree>> trees_of(const NcclCommunicator& communicator) {
  std::vector<std::vector<SumTree>> trees;
  for (const auto& ring : communicator.rings) trees.push_back(chunk_trees(ring));
  if (trees.empty()) {
    std::vector<int> ring(static_cast<std::size_t>(communicator.ranks));
    std::iota(ring.begin(), ring.end(), 0);
    trees.push_back(chunk_trees(ring));
  }
  return trees;
}

}  // namespace

std::vector<NcclRange> nccl_ranges(std::int64_t count, DType dtype, int ranks, int channels,
                                   NcclAlgorithm algorithm, NcclProtocol protocol) {
  if (count < 1) throw failure("an NCCL message of {} elements has no order", count);
  const auto element = static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t bytes = count * element;
  const auto [cell, traffic, chunk] = numbers_of(protocol);
  const std::int64_t threshold = channel_threshold(algorithm, protocol, ranks);
  std::int64_t used = channels;
  while (used >= 2 && bytes < used * threshold) --used;

  const std::int64_t cells = divide_up(bytes, cell);
  const std::int64_t share = std::max(kMinTraffic, std::max(kMinTraffic, bytes * traffic) / used);
  std::int64_t each = std::min(cells, divide_up(share, cell * traffic));
  const std::int64_t first = used == 1 ? cells : each;
  std::int64_t middle = (cells - first) / each;
  std::int64_t last = (cells - first) % each;
  if (1 + middle + (last != 0 ? 1 : 0) > used) {
    middle = used - 2;
    each = (cells - first) / (middle + 1);
    last = each + (cells - first) % (middle + 1);
  }
  if (last == 0 && middle > 0) {
    last = each;
    --middle;
  }
  const std::int64_t cell_elements = cell / element;
  std::vector<NcclRange> ranges;
  std::int64_t at = 0;
  const auto append = [&](std::int64_t cells_here) {
    const std::int64_t end = std::min(count, at + cells_here * cell_elements);
    if (end > at) ranges.push_back({at, end});
    at = end;
  };
  append(first);
  for (std::int64_t i = 0; i < middle; ++i) append(each);
  append(last);
  if (at != count) throw failure("NCCL's order model dealt {} of {} elements", at, count);
  return ranges;
}

OrderMap nccl_ring_map(std::int64_t count, DType dtype, const NcclCommunicator& communicator,
                       NcclProtocol protocol) {
  check(communicator);
  const auto trees = trees_of(communicator);
  const auto element = static_cast<std::int64_t>(size_of(dtype));
  const std::int64_t full_chunk = numbers_of(protocol).chunk / element;
  const std::int64_t alignment = kAlignment / element;
  const std::int64_t ranks = communicator.ranks;
  OrderMapBuilder map(count);
  const auto ranges =
      nccl_ranges(count, dtype, communicator.ranks, communicator.channels, NcclAlgorithm::ring, protocol);
  for (std::size_t channel = 0; channel < ranges.size(); ++channel) {
    const auto& chunk_tree = trees[trees.size() == 1 ? 0 : channel];
    for (std::int64_t at = ranges[channel].begin; at < ranges[channel].end;) {
      const std::int64_t rest = ranges[channel].end - at;
      // The last loop shares out what is left: shorter chunks, of which the last may be short or empty.
      const std::int64_t chunk =
          rest < ranks * full_chunk ? divide_up(divide_up(rest, ranks), alignment) * alignment : full_chunk;
      for (std::int64_t c = 0; c < ranks; ++c) {
        const std::int64_t elements = std::clamp(rest - c * chunk, std::int64_t{0}, chunk);
        map.append(elements, chunk_tree[static_cast<std::size_t>(c)]);
      }
      at += std::min(rest, ranks * chunk);
    }
  }
  return map.finish();
}

std::optional<OrderMap> nccl_tree_map(std::int64_t count, DType dtype, const NcclCommunicator& communicator,
                                      NcclProtocol protocol) {
  check(communicator);
  const int ranks = communicator.ranks;
  const auto ranges = nccl_ranges(count, dtype, ranks, communicator.channels, NcclAlgorithm::tree, protocol);
  if (communicator.trees.empty()) {
    const bool measured = ranks == 2 || ranks == 4 || (ranks == 3 && ranges.size() == 1);
    if (!measured) return std::nullopt;
    return uniform_map(chain_tree(ranks), count);
  }
  if (ranges.size() > communicator.trees.size()) return std::nullopt;
  OrderMapBuilder map(count);
  for (std::size_t channel = 0; channel < ranges.size(); ++channel)
    map.append(ranges[channel].end - ranges[channel].begin, communicator.trees[channel]);
  return map.finish();
}

std::optional<OrderMap> nccl_map(std::int64_t count, DType dtype, const NcclCommunicator& communicator,
                                 NcclAlgorithm algorithm, NcclProtocol protocol) {
  if (algorithm == NcclAlgorithm::tree) return nccl_tree_map(count, dtype, communicator, protocol);
  return nccl_ring_map(count, dtype, communicator, protocol);
}

std::optional<OrderMap> nccl_reduce_scatter_map(std::int64_t count, const NcclCommunicator& communicator) {
  check(communicator);
  const auto trees = trees_of(communicator);
  for (const auto& other : trees)
    if (other != trees.front()) return std::nullopt;
  if (count % communicator.ranks != 0)
    throw failure("a reduce-scatter of {} elements over {} ranks: must divide", count, communicator.ranks);
  // Part k ends at rank k, so it is the chunk of the ring position where rank k stands.
  const auto position_of = [&](int rank) {
    if (communicator.rings.empty()) return rank;
    auto ring = communicator.rings.front();
    std::rotate(ring.begin(), std::find(ring.begin(), ring.end(), 0), ring.end());
    return static_cast<int>(std::find(ring.begin(), ring.end(), rank) - ring.begin());
  };
  OrderMapBuilder map(count);
  for (int rank = 0; rank < communicator.ranks; ++rank)
    map.append(count / communicator.ranks, trees.front()[static_cast<std::size_t>(position_of(rank))]);
  return map.finish();
}

std::vector<NcclProtocol> possible_protocols(const std::vector<NcclProtocolSpan>& spans, std::int64_t bytes) {
  auto from = NcclProtocol::ll;
  auto to = NcclProtocol::simple;
  for (const auto& span : spans) {
    if (span.first_bytes <= bytes) from = std::max(from, span.lowest);
    if (bytes <= span.last_bytes) to = std::min(to, span.highest);
  }
  std::vector<NcclProtocol> possible;
  for (const auto protocol : {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple})
    if (from <= protocol && protocol <= to) possible.push_back(protocol);
  return possible;
}

}  // namespace shardrift
