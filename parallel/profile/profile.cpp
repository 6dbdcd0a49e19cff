#include "parallel/profile/profile.hpp"

#include <algorithm>
#include <tuple>

#include "common/error.hpp"
#include "parallel/order_models/fold_order.hpp"

namespace shardrift {
namespace {

auto key_of(const ProbedCollective& one) {
  return std::tuple(one.operation, one.probe.dtype, one.probe.count, one.captured);
}

std::string probing_command(const CollectiveProfile& profile, CollectiveOperation operation, DType dtype,
                            std::int64_t count, bool captured) {
  if (profile.of_engine())
    return fmt::format(
        "scripts/python/probe_collective.py in its workers, with counts=[{}], dtypes=[\"{}\"]{}", count,
        name_of(dtype), captured ? ", captured=True" : "");
  return fmt::format(
      "mpirun -np {} shardrift-run probe --device {}{}{}{} --dtype {} --count {} --save-profile {}",
      profile.ranks, profile.transport == "nccl" ? "cuda" : "cpu",
      from_name<Collective>(profile.transport) ? " --collective " + profile.transport : "",
      operation == CollectiveOperation::all_reduce ? "" : " --operation reduce-scatter",
      captured ? " --launch captured" : "", name_of(dtype), count,
      profile.file.empty() ? "FILE.json" : profile.file.string());
}

}  // namespace

const ProbedCollective* CollectiveProfile::find(CollectiveOperation operation, DType dtype,
                                                std::int64_t count, bool captured) const {
  for (const auto& one : probed)
    if (key_of(one) == std::tuple(operation, storage_of(dtype), count, captured)) return &one;
  return nullptr;
}

bool CollectiveProfile::knows_captured(CollectiveOperation operation, DType dtype) const {
  return std::any_of(probed.begin(), probed.end(), [&](const ProbedCollective& one) {
    return one.operation == operation && one.probe.dtype == storage_of(dtype) &&
           (one.captured || one_order());
  });
}

Accumulator CollectiveProfile::accumulator(DType dtype) const {
  if (std::holds_alternative<std::monostate>(model))
    for (const auto& one : probed)
      if (one.probe.dtype == storage_of(dtype) && one.probe.accumulator) return *one.probe.accumulator;
  return model_accumulator(model, dtype);
}

OrderMap CollectiveProfile::map_for(CollectiveOperation operation, DType dtype, std::int64_t count,
                                    bool captured) const {
  dtype = storage_of(dtype);
  const auto refused = [&](const std::string& reason) {
    return usage_error(
        "{}: no order for the {}{} of {} {} elements over {} ranks: {}; probe it on that machine: {}",
        file.empty() ? "the collective profile" : file.string(), captured ? "captured " : "",
        name_of(operation), count, name_of(dtype), ranks, reason,
        probing_command(*this, operation, dtype, count, captured));
  };
  const auto* found = find(operation, dtype, count, captured);
  if (found == nullptr && one_order()) found = find(operation, dtype, count, !captured);
  if (const auto* one = found) {
    if (!one->seen.empty())
      throw usage_error("{}: the {} of {} {} elements over {} ranks cannot be predicted: {}", file.string(),
                        name_of(operation), count, name_of(dtype), ranks, one->seen);
    if (const auto first = one->probe.first_not_binary(); first >= 0)
      throw usage_error(
          "{}: the {} of {} {} elements over {} ranks adds element {} by no binary tree (NVLink multicast?), "
          "so it "
          "cannot be predicted; probe and run there with --nccl-algorithm ring",
          file.string(), name_of(operation), count, name_of(dtype), ranks, first);
    const auto rounds = accumulator(dtype);
    if (one->probe.accumulator.value_or(rounds) != rounds || one->probe.first_unexplained >= 0)
      throw usage_error(
          "{}: the {} of {} {} elements over {} ranks does not {}, as others of this profile do: cannot be "
          "predicted",
          file.string(), name_of(operation), count, name_of(dtype), ranks,
          rounds == Accumulator::message ? "round at every add"
                                         : fmt::format("add in {} and round once", name_of(rounds)));
    return one->probe.map();
  }
  if (named()) {
    if (auto map = model_map(model, operation, ranks, count, dtype)) return *map;
    throw usage_error("{}: is an order of all-reduces, and says nothing of a {}", file.string(),
                      name_of(operation));
  }
  bool any = false;
  for (const auto& one : probed) {
    if (one.operation != operation || one.probe.dtype != dtype) continue;
    if (one.captured != captured && !one_order()) continue;
    any = true;
    if (agrees(model, one) == false)
      throw refused(
          fmt::format("the order model does not reproduce the probe of {} elements, so only probed "
                      "counts can be used",
                      one.probe.count));
  }
  if (!any)
    throw refused(captured ? "nothing of this operation and dtype was probed in a CUDA graph"
                           : "nothing of this operation and dtype was probed");
  auto map = model_map(model, operation, ranks, count, dtype);
  if (!map)
    throw refused(std::holds_alternative<std::monostate>(model)
                      ? "this count was not probed, and the profile has no order model"
                      : "this count was not probed, and the order model does not decide it");
  return *map;
}

void CollectiveProfile::add(ProbedCollective collective) {
  const auto place = std::lower_bound(
      probed.begin(), probed.end(), collective,
      [](const ProbedCollective& a, const ProbedCollective& b) { return key_of(a) < key_of(b); });
  if (place != probed.end() && key_of(*place) == key_of(collective)) {
    *place = std::move(collective);
  } else {
    probed.insert(place, std::move(collective));
  }
}

CollectiveProfile profile_of_order(std::string_view order, int ranks) {
  const auto reduction = reduction_from_text(order);
  if (!reduction.is_local_fold() || reduction.needs_profile())
    throw usage_error("{}: that is what a machine does, and no order by itself: give the file of its profile",
                      order);
  check_reduction(reduction, ranks, 1, DType::float32);
  check_published_shards(reduction, ranks);
  CollectiveProfile profile;
  profile.library = "an order by name";
  profile.ranks = ranks;
  profile.model = NamedOrder{reduction};
  profile.file = order_text(reduction);
  return profile;
}

void require_same_machine(const CollectiveProfile& saved, const CollectiveProfile& now) {
  const auto require = [&](std::string_view field, const auto& a, const auto& b) {
    if (a != b)
      throw usage_error("{}: is a profile of {} '{}', this is '{}': save to another file",
                        saved.file.string(), field, a, b);
  };
  require("library", saved.library, now.library);
  require("library version", saved.library_version, now.library_version);
  require("transport", saved.transport, now.transport);
  require("ranks", saved.ranks, now.ranks);
  require("device", saved.device, now.device);
  require("machine", saved.machine, now.machine);
  for (const auto& [one, other] :
       {std::pair(&saved.variables, &now.variables), std::pair(&now.variables, &saved.variables)})
    for (const auto& [name, value] : *one) {
      const auto found = other->find(name);
      if (found == other->end() || found->second != value)
        throw usage_error("{}: was probed with another {} than now ('{}'): save to another file",
                          saved.file.string(), name,
                          now.variables.count(name) != 0 ? now.variables.at(name) : "unset");
    }
}

}  // namespace shardrift
