// Probes of this machine put into words: its profile, what the order model says of them, what the record
// keeps.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "options/pinning.hpp"
#include "parallel/plan/plan.hpp"
#include "parallel/profile/profile.hpp"
#include "parallel/transport/transport.hpp"
#include "record/record.hpp"

namespace shardrift {

// An empty profile of this machine, as probes will fill it.
CollectiveProfile describe_machine(Device device, Collective collective, int ranks,
                                   const record::Environment& environment, const std::string& date);
// The order model that fits what was probed and pinned.
CollectiveModel model_of(const CollectiveProfile& profile, const Pinning& pinning);

// What the library told of this message among `calls`; nullopt where it told nothing, or several things.
std::optional<CollectiveChoice> told_of(const std::vector<CollectiveCall>& calls,
                                        CollectiveOperation operation, const ProbeResult& probe);

// What one probe is compared with, and what came of it.
struct Verdict {
  std::optional<bool> agrees;  // nullopt: nothing to compare with
  std::string text;
};
Verdict compare_probe(const ProbeResult& probe, const OrderMap& expected, const std::string& name);
Verdict judge_by_model(const CollectiveProfile& machine, const ProbedCollective& probed,
                       const Pinning& pinning);
Verdict judge_by_profile(const CollectiveProfile& profile, const ProbedCollective& probed);

// Of messages that were probed captured as well as eager: whether both were added alike, in words; empty
// where there are none.
std::string captured_orders(const CollectiveProfile& machine);

// An order map as the record keeps it; segments and trees as in ProbeResult, kNotBinary included.
void record_map(record::CollectiveInfo& info, const std::vector<OrderSegment>& segments,
                const std::vector<SumTree>& trees);
// For the record; `local`: the fold that was probed instead of a collective.
record::CollectiveInfo describe_collective(const CollectiveProfile& machine, const ProbedCollective& probed,
                                           const std::optional<Reduction>& local = std::nullopt);

// Throws failure where one of our own collectives adds otherwise than it is written to, or where a pinned
// algorithm, protocol or channel count is not what the library told or the probes show. Two ranks add in one
// order whatever the library does: there only what it told can be checked.
void require_honoured(const CollectiveProfile& machine, const std::vector<ProbedCollective>& fresh,
                      const Pinning& pinning);

}  // namespace shardrift
