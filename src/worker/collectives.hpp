// What the collectives of a run do: the maps a profile predicts them with, and the maps the live ones are
// seen to have.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "model/backend.hpp"
#include "model/forward.hpp"
#include "options/pinning.hpp"
#include "options/run_options.hpp"
#include "parallel/profile/messages.hpp"
#include "parallel/profile/profile.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "parallel/transport/transport.hpp"
#include "record/record.hpp"
#include "worker/prompts.hpp"

namespace shardrift {

// Every message that the row-parallel linears of this run will sum.
Messages messages_of(const RunOptions& options, const ModelConfig& config, const std::vector<Job>& jobs);

// Collective, after the device was opened; where the plan's all-reduce is one of ours. Throws usage_error, on
// every rank, where the ranks of a group are not on one host, their GPUs cannot read each other's memory, or
// the library's all-reduce is pinned, which is not called.
void require_peer_sums(const World& world, const Plan& plan, const Pinning& pinning);

// Bytes of the largest of them.
std::size_t largest_message(const Plan& plan, const Messages& messages);

// The profile that --reduction profile names; nullopt for other orders. Throws usage_error where the flag is
// missing or given in vain, where the profile is of another number of ranks than there are shards, or where
// it cannot tell the order of one of these messages. Under --row-linear scatter these are reduce-scatters of
// the padded messages.
std::optional<CollectiveProfile> open_profile(const RunOptions& options, const Messages& messages);
// The map of the plan's collective (all-reduce, or reduce-scatter of the padded message) for a message, pads
// left out.
OrderMapSource orders_of(const CollectiveProfile& profile, const Plan& plan);

// The maps a profile gives, for the record.
std::vector<record::CollectiveInfo> predicted_collectives(const CollectiveProfile& profile, const Plan& plan,
                                                          const Messages& messages);
// Those of a published order (parallel/order_models/fold_order.hpp); none for other plans. Throws usage_error
// where it does not take one of these messages.
std::vector<record::CollectiveInfo> modelled_collectives(const Plan& plan, const Messages& messages);
// Probes the live sum of this group, the collective that the plan's native order calls, at every one of these
// sizes, captured ones eagerly as well, and finds the model that explains it. `machine`: as describe_machine
// gives it. Collective over the group.
CollectiveProfile probed_machine(Transport& transport, Backend& backend, const Plan& plan,
                                 const Messages& messages, CollectiveProfile machine, const Pinning& pinning);
// Its probes, for the record.
std::vector<record::CollectiveInfo> observed_collectives(const CollectiveProfile& machine);
// What the library told of the run's own calls, where that is not what it told of the probe's: added to the
// recorded algorithm in words.
void note_calls(const std::vector<CollectiveCall>& calls, std::vector<record::CollectiveInfo>& collectives);

}  // namespace shardrift
