// What a machine's collectives are believed to do at sizes nobody probed: an order model
// (parallel/order_models) with the parameters of that machine. Where several parameters explain all that was
// seen, all are kept, and a map is given only where they agree.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "parallel/order_models/nccl_order.hpp"
#include "parallel/order_models/openmpi_order.hpp"
#include "parallel/order_models/peer_order.hpp"
#include "parallel/probe/probe.hpp"
#include "parallel/reduction/reduction.hpp"

namespace shardrift {

// A reduce-scatter is counted in the elements of its padded message (padded_count in reduction.hpp): that
// count is probed and looked up.
enum class CollectiveOperation { all_reduce, reduce_scatter };
constexpr auto names_of(CollectiveOperation) {
  return std::to_array<Named<CollectiveOperation>>({{CollectiveOperation::all_reduce, "all-reduce"},
                                                    {CollectiveOperation::reduce_scatter, "reduce-scatter"}});
}

struct NcclModel {
  NcclAlgorithm algorithm = NcclAlgorithm::ring;
  std::vector<int> channels;  // every count that explains the probes, ascending; one where it is known
  std::vector<std::vector<int>> rings;  // as in NcclCommunicator
  std::vector<SumTree> trees;           // as in NcclCommunicator
  std::vector<NcclProtocolSpan> spans;  // what was seen of the protocol's choice
  bool operator==(const NcclModel&) const = default;
};

struct OpenMpiModel {  // 4.1
  OpenMpiAllReduce all_reduce = OpenMpiAllReduce::automatic;
  bool operator==(const OpenMpiModel&) const = default;
};

struct PeerModel {                               // our own: nothing about it depends on the machine
  Collective all_reduce = Collective::one_shot;  // not library
  bool operator==(const PeerModel&) const = default;
};

struct NamedOrder {  // no machine's: what --reduction names, to be held against what was seen
  Reduction reduction;
  bool operator==(const NamedOrder&) const = default;
};

using CollectiveModel = std::variant<std::monostate, NcclModel, OpenMpiModel, PeerModel, NamedOrder>;

// nullopt: the model does not know (no model, another operation, parameters that disagree). Throws
// usage_error where a published order does not take such a message.
std::optional<OrderMap> model_map(const CollectiveModel& model, CollectiveOperation operation, int ranks,
                                  std::int64_t count, DType dtype);

// Where such a collective rounds: a library's at every add, a named order as its name says.
Accumulator model_accumulator(const CollectiveModel& model, DType dtype);

// What the library itself said it took for a message (NCCL's profiler interface).
struct CollectiveChoice {
  std::string algorithm;  // "ring", "tree", …
  std::string protocol;   // "ll", "ll128", "simple"
  int channels = 0;       // that carried this message
  bool operator==(const CollectiveChoice&) const = default;
};

// One probed collective. model_agrees: what the model said when it was probed; nullopt: nothing.
struct ProbedCollective {
  CollectiveOperation operation = CollectiveOperation::all_reduce;
  ProbeResult probe;
  std::optional<bool> model_agrees;
  std::optional<CollectiveChoice> told;  // nullopt: the library did not say
  bool captured = false;                 // replayed from a CUDA graph
  std::string
      seen;  // why no fold can predict it, in the words of who probed; empty: it can, or read the probe
};

// Does the model give exactly this map? nullopt where it does not know.
std::optional<bool> agrees(const CollectiveModel& model, const ProbedCollective& probed);

// The NCCL parameters that explain every probed all-reduce: one ring for all channels read off the maps, 1 to
// 32 channels, protocols growing with size. `algorithm` and `protocol` restrict the search to what was
// pinned, and where the library said what it took, only that can explain a message: the maps and NCCL's word
// check each other. nullopt where nothing explains them all, or nothing was probed.
struct NcclPins {
  std::optional<NcclAlgorithm> algorithm;
  std::optional<NcclProtocol> protocol;
  std::optional<int> channels;
};
// `told`: what is known of the protocol's choice beside the probes (protocol_spans.hpp).
std::optional<NcclModel> infer_nccl_model(const std::vector<ProbedCollective>& probed, const NcclPins& pins,
                                          const std::vector<NcclProtocolSpan>& told = {});

// The parameters that come closest to one probed all-reduce, and the first element at which even they fail.
struct NearMiss {
  std::string parameters;
  std::int64_t element = 0;
};
NearMiss closest_nccl(const ProbeResult& probe, const NcclPins& pins);

// "ring 0 1 2 3, 24 channels, ll up to 2785280 bytes, …": for people.
std::string describe(const CollectiveModel& model);

}  // namespace shardrift
