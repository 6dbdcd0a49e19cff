#include "worker/collectives.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>

#include "common/error.hpp"
#include "parallel/order_models/fold_order.hpp"
#include "parallel/probe/probe.hpp"
#include "parallel/profile/messages.hpp"
#include "parallel/transport/peer_transport.hpp"
#include "worker/machine_profile.hpp"
#include "worker/probed_sums.hpp"
#ifdef SHARDRIFT_HAVE_CUDA
#include "parallel/transport/cuda_peer_sum.hpp"
#endif

namespace shardrift {
namespace {

// The map of a message's first count elements.
OrderMap without_pads(const OrderMap& map, std::int64_t count) {
  OrderMapBuilder builder(count);
  for (const auto& segment : map.segments)
    if (segment.begin < count)
      builder.append(std::min(segment.end, count) - segment.begin,
                     map.trees[static_cast<std::size_t>(segment.tree)]);
  return builder.finish();
}

void for_each_called(const Plan& plan, const Messages& messages,
                     const std::function<void(std::int64_t count, bool captured)>& visit) {
  const Messages all = called(plan, messages);
  for (const auto count : all.eager) visit(count, false);
  for (const auto count : all.captured) visit(count, true);
}

record::CollectiveInfo info_of(CollectiveOperation operation, std::int64_t count, DType dtype, int ranks,
                               const std::vector<OrderSegment>& segments, const std::vector<SumTree>& trees) {
  record::CollectiveInfo info;
  info.operation = name_of(operation);
  info.count = count;
  info.dtype = name_of(storage_of(dtype));
  info.ranks = ranks;
  record_map(info, segments, trees);
  return info;
}

// The profile knows every sum that the run sends; what it does not know is said once, of all of them.
void require_orders(const CollectiveProfile& profile, const Plan& plan, const Messages& messages) {
  std::string refused;
  std::set<std::int64_t> silent;
  for_each_called(plan, messages, [&](std::int64_t count, bool captured) {
    try {
      profile.map_for(operation_of(plan), plan.dtype, count, captured);
    } catch (const Error& error) {
      if (refused.empty()) refused = error.what();
      silent.insert(count);
    }
  });
  if (silent.size() > 1)
    refused += fmt::format("; this run sends {} such messages, of {} elements", silent.size(),
                           fmt::join(silent, ", "));
  if (!refused.empty()) throw usage_error("{}", refused);
}

// The run rounds where the sums of the profile do. Two shards are added once: there is one rounding wherever
// it is said to be.
void require_rounding(const CollectiveProfile& profile, const Plan& plan, const std::filesystem::path& file) {
  const auto rounds = profile.accumulator(plan.dtype);
  const auto asked = plan.reduction.accumulator;
  if (plan.shards <= 2 || asked == rounds) return;
  const auto& whose = profile.of_engine() ? profile.library : profile.transport;
  if (rounds != Accumulator::message)
    throw usage_error("{}: that {} all-reduce adds {} messages in {} and rounds once: give --accumulate {}",
                      file.string(), whose, name_of(plan.dtype), name_of(rounds), name_of(rounds));
  if (plan.reduction.partial == PartialDType::model)
    throw usage_error(
        "{}: that {} all-reduce rounds {} messages at every add, --accumulate {} once: leave it out",
        file.string(), whose, name_of(plan.dtype), name_of(asked));
}

}  // namespace

void require_peer_sums(const World& world, const Plan& plan, const Pinning& pinning) {
  if (plan.collective == Collective::library) return;
  const auto machines = world.gather_all(world.machine());
  const auto hosts = world.gather_all(world.host());
  world.together([&] {
    if (pinning != Pinning())
      throw usage_error(
          "--collective {}: the library's all-reduce is not called, so pinning it (--mpi-allreduce, "
          "--nccl-…) says nothing; leave one out",
          name_of(plan.collective));
    require_one_host(plan, machines, hosts);
  });
#ifdef SHARDRIFT_HAVE_CUDA
  if (plan.device != Device::cuda) return;
  const auto bus_ids = world.gather_all(cuda_bus_id());
  world.together([&] {
    const auto group = bus_ids.begin() + world.rank() / plan.tensor_parallel * plan.tensor_parallel;
    require_cuda_peer_access(plan.collective, {group, group + plan.tensor_parallel});
  });
#endif
}

std::size_t largest_message(const Plan& plan, const Messages& messages) {
  return static_cast<std::size_t>(messages.largest()) * size_of(plan.dtype);
}

Messages messages_of(const RunOptions& options, const ModelConfig& config, const std::vector<Job>& jobs) {
  return messages_of(options.plan, config.hidden, prompt_lengths(jobs), options.mode != Mode::score);
}

std::optional<CollectiveProfile> open_profile(const RunOptions& options, const Messages& messages) {
  const Plan& plan = options.plan;
  if (!plan.reduction.needs_profile()) {
    if (!options.collective_profile.empty())
      throw usage_error("--collective-profile {}: only --reduction profile reads one",
                        options.collective_profile.string());
    return std::nullopt;
  }
  if (options.collective_profile.empty())
    throw usage_error(
        "--reduction profile needs --collective-profile FILE: shipped ones lie in experiments/profiles, "
        "shardrift-run probe --save-profile makes one");
  auto profile = read_profile(options.collective_profile);
  if (profile.ranks != plan.shards)
    throw usage_error("{}: a profile of {} ranks predicts --shards {}, not {}",
                      options.collective_profile.string(), profile.ranks, profile.ranks, plan.shards);
  require_orders(profile, plan, messages);
  require_rounding(profile, plan, options.collective_profile);
  return profile;
}

OrderMapSource orders_of(const CollectiveProfile& profile, const Plan& plan) {
  return [&profile, plan](std::int64_t count, bool captured) {
    return without_pads(profile.map_for(operation_of(plan), plan.dtype, called_count(plan, count), captured),
                        count);
  };
}

std::vector<record::CollectiveInfo> predicted_collectives(const CollectiveProfile& profile, const Plan& plan,
                                                          const Messages& messages) {
  std::vector<record::CollectiveInfo> infos;
  const CollectiveOperation operation = operation_of(plan);
  for_each_called(plan, messages, [&](std::int64_t count, bool captured) {
    const OrderMap map = profile.map_for(operation, plan.dtype, count, captured);
    auto info = info_of(operation, count, plan.dtype, profile.ranks, map.segments, map.trees);
    info.library = profile.library;
    info.version = profile.library_version;
    if (const auto* peer = std::get_if<PeerModel>(&profile.model)) info.algorithm = name_of(peer->all_reduce);
    const auto* probed = profile.find(operation, plan.dtype, count, captured);
    info.source = probed != nullptr ? "profile" : "model";
    info.captured = captured;
    infos.push_back(std::move(info));
  });
  return infos;
}

std::vector<record::CollectiveInfo> modelled_collectives(const Plan& plan, const Messages& messages) {
  std::vector<record::CollectiveInfo> infos;
  if (!plan.reduction.is_published() || plan.row_linear == RowLinear::gather) return infos;
  const auto visit = [&](std::int64_t count, bool captured) {
    const OrderMap map = fold_order_map(plan.reduction, plan.shards, count, plan.dtype);
    auto info =
        info_of(CollectiveOperation::all_reduce, count, plan.dtype, plan.shards, map.segments, map.trees);
    const auto sum = published_sum(plan.reduction, plan.shards, count, plan.dtype);
    info.library = sum.library;
    info.version = sum.version;
    info.algorithm = sum.algorithm;
    info.channels = sum.channels;
    info.source = "model";
    info.captured = captured;
    infos.push_back(std::move(info));
  };
  for (const auto count : messages.eager) visit(count, false);
  for (const auto count : messages.captured) visit(count, true);
  return infos;
}

CollectiveProfile probed_machine(Transport& transport, Backend& backend, const Plan& plan,
                                 const Messages& messages, CollectiveProfile machine,
                                 const Pinning& pinning) {
  if (transport.size() < 2 || transport.size() > kMaxProbeRanks) return machine;
  const CollectiveOperation operation = operation_of(plan);
  const DType dtype = storage_of(plan.dtype);
  Messages looked_at = messages;
  looked_at.eager.insert(messages.captured.begin(), messages.captured.end());
  for_each_called(plan, looked_at, [&](std::int64_t count, bool captured) {
    transport.take_calls();
    const Launch launch = captured ? Launch::captured : Launch::eager;
    const auto sum = live_sum(transport, backend, plan.device, operation, count, dtype, launch);
    ProbedCollective one{operation, probe_sum(transport.size(), count, dtype, sum, false), {}, {}, captured};
    one.told = told_of(transport.take_calls(), operation, one.probe);
    machine.add(std::move(one));
  });
  machine.model = model_of(machine, pinning);
  for (auto& one : machine.probed) one.model_agrees = agrees(machine.model, one);
  return machine;
}

std::vector<record::CollectiveInfo> observed_collectives(const CollectiveProfile& machine) {
  std::vector<record::CollectiveInfo> infos;
  for (const auto& one : machine.probed) infos.push_back(describe_collective(machine, one));
  return infos;
}

void note_calls(const std::vector<CollectiveCall>& calls, std::vector<record::CollectiveInfo>& collectives) {
  // Which calls of such a message were captured is not told.
  const auto captured_too = [&](const record::CollectiveInfo& info) {
    return std::any_of(collectives.begin(), collectives.end(), [&](const record::CollectiveInfo& one) {
      return one.captured && one.operation == info.operation && one.count == info.count &&
             one.dtype == info.dtype;
    });
  };
  for (auto& info : collectives)
    for (const auto& call : calls) {
      if (captured_too(info)) continue;
      const bool scatter = call.operation == name_of(CollectiveOperation::reduce_scatter);
      if (call.operation != info.operation || call.count * (scatter ? info.ranks : 1) != info.count ||
          name_of(call.dtype) != info.dtype)
        continue;
      if (call.algorithm != info.algorithm || call.protocol != info.protocol)
        info.algorithm += fmt::format(" when probed, {} {} in the run", call.algorithm, call.protocol);
    }
}

}  // namespace shardrift
