#include "parallel/profile/collective_model.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "common/error.hpp"
#include "parallel/order_models/fold_order.hpp"

namespace shardrift {
namespace {

constexpr int kMostChannels = 32;  // NCCL makes no more for its rings unless told to

std::int64_t bytes_of(const ProbeResult& probe) {
  return probe.count * static_cast<std::int64_t>(size_of(probe.dtype));
}

bool usable(const ProbedCollective& probed) {
  return probed.operation == CollectiveOperation::all_reduce && probed.probe.first_not_binary() < 0 &&
         probed.probe.first_unexplained < 0;
}

// The first element is chunk 0, ((R[1] + R[2]) + …) + R[0] with R[0] = 0: the ring, but for which of the
// first two operands comes first.
std::vector<std::vector<int>> possible_rings(const ProbeResult& probe) {
  const SumTree& tree = probe.trees.front();
  if (!is_left_to_right(tree)) return {};
  std::vector<int> order;
  order.reserve(tree.program.size());
  for (const auto step : tree.program)  // left to right: the leaves come in the order they are added
    if (step != SumTree::kAdd) order.push_back(static_cast<std::uint8_t>(step));
  const auto zero = std::find(order.begin(), order.end(), 0);
  if (order.size() > 2 && zero != order.end() - 1) return {};
  if (order.size() == 2) return {{0, 1}};
  std::vector<int> ring{0};
  ring.insert(ring.end(), order.begin(), order.end() - 1);
  auto other = ring;
  std::swap(other[1], other[2]);
  if (other < ring) std::swap(ring, other);
  return {ring, other};
}

// Is that what NCCL said it took? True where it said nothing.
bool as_told(const ProbedCollective& one, int channels, NcclAlgorithm algorithm, NcclProtocol protocol) {
  if (!one.told) return true;
  if (one.told->algorithm != name_of(algorithm) || one.told->protocol != name_of(protocol)) return false;
  const auto& probe = one.probe;
  return static_cast<int>(
             nccl_ranges(probe.count, probe.dtype, probe.ranks, channels, algorithm, protocol).size()) ==
         one.told->channels;
}

// For each probed message the protocols that reproduce its map; empty where one has none.
std::vector<std::vector<NcclProtocol>> reproducing(const std::vector<const ProbedCollective*>& probes,
                                                   const NcclCommunicator& communicator,
                                                   NcclAlgorithm algorithm, const NcclPins& pins) {
  std::vector<std::vector<NcclProtocol>> all;
  for (const auto* one : probes) {
    const auto* probe = &one->probe;
    std::vector<NcclProtocol> fitting;
    for (const auto protocol : {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple}) {
      if (pins.protocol && *pins.protocol != protocol) continue;
      if (!as_told(*one, communicator.channels, algorithm, protocol)) continue;
      const auto map = nccl_map(probe->count, probe->dtype, communicator, algorithm, protocol);
      // What the model does not know contradicts nothing, but speaks for nothing either: only for what was
      // pinned, or what NCCL said.
      const bool known = pins.algorithm || one->told;
      const bool fits = map ? map->segments == probe->segments && map->trees == probe->trees : known;
      if (fits) fitting.push_back(protocol);
    }
    if (fitting.empty()) return {};
    all.push_back(std::move(fitting));
  }
  return all;
}

// The tree of every channel, read off the maps at the channels' ranges, as far as some message uses them;
// needs to know the protocol (where none is known: empty). nullopt where ranges mix trees or contradict each
// other: that count of channels is wrong.
std::optional<std::vector<SumTree>> channel_trees(const std::vector<const ProbedCollective*>& probes,
                                                  int channels, const NcclPins& pins) {
  std::vector<SumTree> trees;
  for (const auto* one : probes) {
    auto protocol = pins.protocol;
    if (one->told) {
      for (const auto known : {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple})
        if (one->told->protocol == name_of(known)) protocol = known;
    }
    if (!protocol) continue;
    const auto& probe = one->probe;
    const auto ranges =
        nccl_ranges(probe.count, probe.dtype, probe.ranks, channels, NcclAlgorithm::tree, *protocol);
    auto segment = probe.segments.begin();
    for (std::size_t channel = 0; channel < ranges.size(); ++channel) {
      while (segment->end <= ranges[channel].begin) ++segment;
      const auto& tree = probe.trees[static_cast<std::size_t>(segment->tree)];
      if (channel == trees.size()) trees.push_back(tree);
      if (segment->end < ranges[channel].end || trees[channel] != tree) return std::nullopt;
    }
  }
  return trees;
}

std::optional<NcclModel> fit(const std::vector<const ProbedCollective*>& probes, const std::vector<int>& ring,
                             NcclAlgorithm algorithm, const NcclPins& pins,
                             const std::vector<NcclProtocolSpan>& told) {
  const int ranks = probes.front()->probe.ranks;
  NcclModel model{algorithm, {}, {ring}, {}, {}};
  // Channels of their own trees are looked for only where the chain does not explain what was seen.
  const bool own_trees =
      algorithm == NcclAlgorithm::tree && std::any_of(probes.begin(), probes.end(), [&](const auto* one) {
        return one->probe.trees != std::vector<SumTree>{chain_tree(ranks)};
      });
  std::vector<NcclProtocolSpan> seen;
  for (int channels = 1; channels <= kMostChannels; ++channels) {
    if (pins.channels && *pins.channels != channels) continue;
    NcclCommunicator communicator{ranks, channels, {ring}, {}};
    if (own_trees) {
      auto trees = channel_trees(probes, channels, pins);
      if (!trees || (!model.channels.empty() && *trees != model.trees)) continue;
      communicator.trees = std::move(*trees);
    }
    const auto fitting = reproducing(probes, communicator, algorithm, pins);
    if (fitting.empty()) continue;
    model.trees = communicator.trees;
    // A protocol's choice that would fall with size, or that is not what was told, is no explanation.
    std::vector<NcclProtocolSpan> spans;
    for (std::size_t i = 0; i < probes.size(); ++i)
      spans.push_back(
          {bytes_of(probes[i]->probe), bytes_of(probes[i]->probe), fitting[i].front(), fitting[i].back()});
    spans.insert(spans.end(), told.begin(), told.end());
    const auto possible = [&](const NcclProtocolSpan& span) {
      return !possible_protocols(spans, span.first_bytes).empty();
    };
    if (!std::all_of(spans.begin(), spans.end(), possible)) continue;
    model.channels.push_back(channels);
    if (seen.empty()) seen = spans;
    for (std::size_t i = 0; i < spans.size(); ++i) {
      seen[i].lowest = std::min(seen[i].lowest, spans[i].lowest);
      seen[i].highest = std::max(seen[i].highest, spans[i].highest);
    }
  }
  if (model.channels.empty()) return std::nullopt;
  if (pins.protocol) {
    model.spans = {{1, std::numeric_limits<std::int64_t>::max(), *pins.protocol, *pins.protocol}};
    return model;
  }
  // Neighbours that say the same are one span; those that say nothing are none.
  std::sort(seen.begin(), seen.end(),
            [](const auto& a, const auto& b) { return a.first_bytes < b.first_bytes; });
  for (const auto& span : seen) {
    if (span.lowest == NcclProtocol::ll && span.highest == NcclProtocol::simple) continue;
    auto& spans = model.spans;
    if (!spans.empty() && spans.back().lowest == span.lowest && spans.back().highest == span.highest) {
      spans.back().last_bytes = std::max(spans.back().last_bytes, span.last_bytes);
    } else {
      spans.push_back(span);
    }
  }
  return model;
}

std::optional<OrderMap> nccl_model_map(const NcclModel& model, CollectiveOperation operation, int ranks,
                                       std::int64_t count, DType dtype) {
  std::optional<OrderMap> agreed;
  for (const int channels : model.channels) {
    const NcclCommunicator communicator{ranks, channels, model.rings, model.trees};
    if (operation == CollectiveOperation::reduce_scatter)
      return model.algorithm == NcclAlgorithm::ring ? nccl_reduce_scatter_map(count, communicator)
                                                    : std::nullopt;
    const auto bytes = count * static_cast<std::int64_t>(size_of(dtype));
    for (const auto protocol : possible_protocols(model.spans, bytes)) {
      auto map = nccl_map(count, dtype, communicator, model.algorithm, protocol);
      if (!map || (agreed && *agreed != *map)) return std::nullopt;
      agreed = std::move(map);
    }
  }
  return agreed;
}

}  // namespace

std::optional<OrderMap> model_map(const CollectiveModel& model, CollectiveOperation operation, int ranks,
                                  std::int64_t count, DType dtype) {
  if (const auto* nccl = std::get_if<NcclModel>(&model))
    return nccl_model_map(*nccl, operation, ranks, count, dtype);
  if (operation != CollectiveOperation::all_reduce) return std::nullopt;
  if (const auto* peer = std::get_if<PeerModel>(&model))
    return peer_map(peer->all_reduce, count, dtype, ranks);
  if (const auto* named = std::get_if<NamedOrder>(&model)) {
    check_reduction(named->reduction, ranks, 1, dtype);
    return fold_order_map(named->reduction, ranks, count, dtype);
  }
  const auto* openmpi = std::get_if<OpenMpiModel>(&model);
  if (openmpi == nullptr) return std::nullopt;
  return openmpi_all_reduce_map(count, dtype, ranks, openmpi->all_reduce);
}

Accumulator model_accumulator(const CollectiveModel& model, DType dtype) {
  if (std::holds_alternative<PeerModel>(model)) return peer_accumulator(dtype);
  const auto* named = std::get_if<NamedOrder>(&model);
  if (named == nullptr) return Accumulator::message;
  // A message of float32 that is added in float32 is rounded at every add; so is one of float64.
  const bool wide =
      named->reduction.accumulator == Accumulator::float32 ? size_of(dtype) < 4 : size_of(dtype) < 8;
  return wide ? named->reduction.accumulator : Accumulator::message;
}

std::optional<bool> agrees(const CollectiveModel& model, const ProbedCollective& probed) {
  const auto& probe = probed.probe;
  const auto map = model_map(model, probed.operation, probe.ranks, probe.count, probe.dtype);
  if (!map) return std::nullopt;
  const auto rounds = model_accumulator(model, probe.dtype);
  return probe.first_not_binary() < 0 && probe.accumulator.value_or(rounds) == rounds &&
         probe.first_unexplained < 0 && *map == probe.map();
}

std::optional<NcclModel> infer_nccl_model(const std::vector<ProbedCollective>& probed, const NcclPins& pins,
                                          const std::vector<NcclProtocolSpan>& told) {
  std::vector<const ProbedCollective*> probes;
  for (const auto& one : probed) {
    if (one.operation != CollectiveOperation::all_reduce) continue;
    if (!usable(one)) return std::nullopt;
    probes.push_back(&one);
  }
  if (probes.empty()) return std::nullopt;
  for (const auto algorithm : {NcclAlgorithm::ring, NcclAlgorithm::tree}) {
    if (pins.algorithm && *pins.algorithm != algorithm) continue;
    std::vector<int> plain(static_cast<std::size_t>(probes.front()->probe.ranks));
    std::iota(plain.begin(), plain.end(), 0);
    const auto rings = algorithm == NcclAlgorithm::ring ? possible_rings(probes.front()->probe)
                                                        : std::vector<std::vector<int>>{plain};
    for (const auto& ring : rings)
      if (auto model = fit(probes, ring, algorithm, pins, told)) return model;
  }
  return std::nullopt;
}

NearMiss closest_nccl(const ProbeResult& probe, const NcclPins& pins) {
  NearMiss best{"nothing known", 0};
  if (probe.first_not_binary() >= 0) return {"no binary tree", probe.first_not_binary()};
  if (probe.first_unexplained >= 0) return {"its own tree", probe.first_unexplained};
  auto rings = possible_rings(probe);
  rings.insert(rings.begin(), std::vector<int>{});
  for (const auto algorithm : {NcclAlgorithm::ring, NcclAlgorithm::tree})
    for (const auto& ring : rings)
      for (const auto protocol : {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple})
        for (int channels = 1; channels <= kMostChannels; ++channels) {
          if (pins.algorithm.value_or(algorithm) != algorithm ||
              pins.protocol.value_or(protocol) != protocol || pins.channels.value_or(channels) != channels)
            continue;
          NcclCommunicator communicator{probe.ranks, channels, {}};
          if (!ring.empty()) communicator.rings.push_back(ring);
          const auto map = nccl_map(probe.count, probe.dtype, communicator, algorithm, protocol);
          const auto element = map ? first_difference(*map, probe.map()) : 0;
          if (element <= best.element && element >= 0) continue;
          best = {fmt::format("{}, {}, {} channels", name_of(algorithm), name_of(protocol), channels),
                  element};
          if (element < 0) return best;
        }
  return best;
}

std::string describe(const CollectiveModel& model) {
  if (const auto* openmpi = std::get_if<OpenMpiModel>(&model))
    return fmt::format("OpenMPI 4.1, all-reduce {}", name_of(openmpi->all_reduce));
  if (const auto* peer = std::get_if<PeerModel>(&model))
    return fmt::format("{}, float32 sums", name_of(peer->all_reduce));
  if (const auto* named = std::get_if<NamedOrder>(&model)) return order_text(named->reduction);
  const auto* nccl = std::get_if<NcclModel>(&model);
  if (nccl == nullptr) return "none";
  std::string text = fmt::format("NCCL {}", name_of(nccl->algorithm));
  if (!nccl->rings.empty()) text += fmt::format(" {}", fmt::join(nccl->rings.front(), " "));
  if (nccl->rings.size() > 1) text += " …";
  if (!nccl->trees.empty()) text += fmt::format(", {} trees by channel", nccl->trees.size());
  text += nccl->channels.size() == 1 ? fmt::format(", {} channels", nccl->channels.front())
                                     : fmt::format(", {} to {} channels (the probes do not tell them apart)",
                                                   nccl->channels.front(), nccl->channels.back());
  for (const auto& span : nccl->spans) {
    const auto protocol = span.lowest == span.highest
                              ? std::string(name_of(span.lowest))
                              : fmt::format("{} to {}", name_of(span.lowest), name_of(span.highest));
    text += span.last_bytes == std::numeric_limits<std::int64_t>::max()
                ? fmt::format(", {} at every size", protocol)
                : fmt::format(", {} at {} to {} bytes", protocol, span.first_bytes, span.last_bytes);
  }
  return text;
}

}  // namespace shardrift
