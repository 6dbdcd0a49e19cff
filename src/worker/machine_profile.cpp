#include "worker/machine_profile.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <set>

#include "common/error.hpp"
#include "worker/environment.hpp"

namespace shardrift {
namespace {

// What an NCCL or MPI variable may steer; logging does not.
bool steers(const std::string& variable) {
  return (variable.starts_with("NCCL_") && !variable.starts_with("NCCL_DEBUG")) ||
         variable.starts_with("OMPI_MCA_coll");
}

// What OpenMPI was told, by our flag or by the user: its own variables say.
CollectiveModel openmpi_model(const CollectiveProfile& machine) {
  if (!machine.library_version.starts_with("Open MPI v4.1")) return std::monostate{};
  const auto value = [&](const char* name) {
    const auto found = machine.variables.find(name);
    return found == machine.variables.end() ? std::string("0") : found->second;
  };
  if (value("OMPI_MCA_coll_tuned_use_dynamic_rules") == "0") return OpenMpiModel{};
  const auto number = value("OMPI_MCA_coll_tuned_allreduce_algorithm");
  using enum OpenMpiAllReduce;
  for (const auto algorithm : {automatic, basic_linear, recursive_doubling, ring, rabenseifner})
    if (number == std::to_string(openmpi_algorithm_number(algorithm))) return OpenMpiModel{algorithm};
  return std::monostate{};  // another algorithm of the library, or rules in a file
}

std::string joined_rings(const NcclModel& model) {
  std::string text;
  for (const auto& ring : model.rings)
    text += fmt::format("{}{}", text.empty() ? "" : "\n", fmt::join(ring, " "));
  return text;
}

}  // namespace

CollectiveProfile describe_machine(Device device, Collective collective, int ranks,
                                   const record::Environment& environment, const std::string& date) {
  CollectiveProfile profile;
  const bool ours = collective != Collective::library;
  if (ours) {
    profile.transport = name_of(collective);
    profile.library = "shardrift";
    profile.library_version = SHARDRIFT_VERSION;
  } else {
    profile.transport = device == Device::cuda ? "nccl" : "mpi";
    profile.library = profile.transport;
    const auto version = environment.libraries.find(profile.library);
    if (version != environment.libraries.end()) profile.library_version = version->second;
  }
  profile.ranks = ranks;
  profile.device = environment.devices.front().name;
  std::set<std::string> hosts;
  for (const auto& info : environment.devices) hosts.insert(info.host);
  profile.machine = fmt::format("{}", fmt::join(hosts, ","));
  for (const auto& [name, value] : environment.variables)
    if (!ours && steers(name)) profile.variables[name] = value;
  profile.date = date;
  return profile;
}

CollectiveModel model_of(const CollectiveProfile& profile, const Pinning& pinning) {
  if (const auto ours = from_name<Collective>(profile.transport)) return PeerModel{*ours};
  if (profile.library == "mpi") return openmpi_model(profile);
  if (auto model = infer_nccl_model(profile.probed, pinning.nccl(), profile.told_spans)) return *model;
  // What is captured may take other orders: then the model is of what is not.
  auto eager = profile.probed;
  std::erase_if(eager, [](const ProbedCollective& one) { return one.captured; });
  if (auto model = infer_nccl_model(eager, pinning.nccl(), profile.told_spans)) return *model;
  return std::monostate{};
}

std::string captured_orders(const CollectiveProfile& machine) {
  std::vector<std::string> others;
  bool any = false;
  for (const auto& one : machine.probed) {
    const auto* eager =
        one.captured ? machine.find(one.operation, one.probe.dtype, one.probe.count) : nullptr;
    if (eager == nullptr) continue;
    any = true;
    if (one.probe.segments != eager->probe.segments || one.probe.trees != eager->probe.trees)
      others.push_back(fmt::format("{} of {} {} elements", name_of(one.operation), one.probe.count,
                                   name_of(one.probe.dtype)));
  }
  if (!any) return {};
  return others.empty() ? "as eager ones"
                        : fmt::format("otherwise than eager ones: {}", fmt::join(others, ", "));
}

std::optional<CollectiveChoice> told_of(const std::vector<CollectiveCall>& calls,
                                        CollectiveOperation operation, const ProbeResult& probe) {
  // NCCL counts the elements of one rank's part of a reduce-scatter.
  const auto count =
      operation == CollectiveOperation::reduce_scatter ? probe.count / probe.ranks : probe.count;
  std::optional<CollectiveChoice> told;
  for (const auto& call : calls) {
    if (call.operation != name_of(operation) || call.count != count || call.dtype != probe.dtype) continue;
    if (told) return std::nullopt;
    told = CollectiveChoice{call.algorithm, call.protocol, call.channels};
  }
  return told;
}

Verdict compare_probe(const ProbeResult& probe, const OrderMap& expected, const std::string& name) {
  if (const auto odd = probe.first_not_binary(); odd >= 0)
    return {false, fmt::format("{}: differs from element {} on: no binary tree there", name, odd)};
  if (probe.first_unexplained >= 0)
    return {false,
            fmt::format("{}: element {} has other bits than its tree gives", name, probe.first_unexplained)};
  const auto first = first_difference(expected, probe.map());
  if (first < 0) return {true, fmt::format("{}: agrees", name)};
  return {false, fmt::format("{}: differs from element {} on", name, first)};
}

Verdict judge_by_model(const CollectiveProfile& machine, const ProbedCollective& probed,
                       const Pinning& pinning) {
  const auto& probe = probed.probe;
  if (const auto map = model_map(machine.model, probed.operation, probe.ranks, probe.count, probe.dtype))
    return compare_probe(probe, *map, "order model (" + describe(machine.model) + ")");
  const bool nccl_unexplained = machine.library == "nccl" &&
                                probed.operation == CollectiveOperation::all_reduce &&
                                std::holds_alternative<std::monostate>(machine.model);
  if (!nccl_unexplained) return {std::nullopt, "order model: none for this operation and library version"};
  const auto closest = closest_nccl(probe, pinning.nccl());
  if (closest.element < 0)
    return {false, fmt::format("order model: {} explain this message, but no parameters explain all",
                               closest.parameters)};
  return {false,
          fmt::format("order model: no parameters explain it; the closest ({}) differ from element {} on",
                      closest.parameters, closest.element)};
}

Verdict judge_by_profile(const CollectiveProfile& profile, const ProbedCollective& probed) {
  try {
    const auto map =
        profile.map_for(probed.operation, probed.probe.dtype, probed.probe.count, probed.captured);
    return compare_probe(probed.probe, map, profile.file.string());
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

void record_map(record::CollectiveInfo& info, const std::vector<OrderSegment>& segments,
                const std::vector<SumTree>& trees) {
  for (const auto& tree : trees) info.trees.push_back(to_string(tree));
  for (const auto& segment : segments) {
    std::int64_t tree = segment.tree;
    if (segment.tree == kNotBinary) {
      if (info.trees.size() == trees.size()) info.trees.emplace_back("not binary");
      tree = static_cast<std::int64_t>(trees.size());
    }
    info.segments.push_back({segment.begin, segment.end, tree});
  }
}

record::CollectiveInfo describe_collective(const CollectiveProfile& machine, const ProbedCollective& probed,
                                           const std::optional<Reduction>& local) {
  const auto& probe = probed.probe;
  record::CollectiveInfo info;
  info.operation = name_of(probed.operation);
  info.count = probe.count;
  info.dtype = name_of(probe.dtype);
  info.ranks = probe.ranks;
  info.library = local ? "local" : machine.library;
  info.version = local ? SHARDRIFT_VERSION : machine.library_version;
  info.source = "probed";
  info.captured = probed.captured;
  if (local) info.algorithm = order_text(*local);
  if (probed.model_agrees == true) {
    if (const auto* model = std::get_if<OpenMpiModel>(&machine.model)) {
      auto algorithm = model->all_reduce;
      if (algorithm == OpenMpiAllReduce::automatic)
        algorithm = openmpi_choice(probe.count * static_cast<std::int64_t>(size_of(probe.dtype)), probe.ranks)
                        .value_or(algorithm);
      info.algorithm = name_of(algorithm);
    } else if (const auto* nccl = std::get_if<NcclModel>(&machine.model)) {
      info.algorithm = name_of(nccl->algorithm);
      const auto possible =
          possible_protocols(nccl->spans, probe.count * static_cast<std::int64_t>(size_of(probe.dtype)));
      if (!possible.empty()) info.protocol = name_of(possible.front());
      if (possible.size() > 1) info.protocol += fmt::format(" to {}", name_of(possible.back()));
      info.channels = std::to_string(nccl->channels.front());
      if (nccl->channels.size() > 1) info.channels += fmt::format(" to {}", nccl->channels.back());
      info.rings = joined_rings(*nccl);
    } else if (const auto* peer = std::get_if<PeerModel>(&machine.model)) {
      info.algorithm = name_of(peer->all_reduce);
    }
  }
  if (probed.told) {  // the library's own word before what the maps leave open
    info.algorithm = probed.told->algorithm;
    info.protocol = probed.told->protocol;
    info.channels = info.channels.empty() ? std::to_string(probed.told->channels)
                                          : fmt::format("{} of {}", probed.told->channels, info.channels);
  }
  record_map(info, probe.segments, probe.trees);
  return info;
}

void require_honoured(const CollectiveProfile& machine, const std::vector<ProbedCollective>& fresh,
                      const Pinning& pinning) {
  if (std::holds_alternative<PeerModel>(machine.model)) {
    for (const auto& one : fresh)
      if (const auto verdict = judge_by_model(machine, one, pinning); verdict.agrees == false)
        throw failure("our own all-reduce of {} {} elements over {} ranks does not add as it should: {}",
                      one.probe.count, name_of(one.probe.dtype), machine.ranks, verdict.text);
    return;
  }
  const auto pins = pinning.nccl();
  const bool pinned =
      machine.library == "mpi" ? pinning.mpi_all_reduce != OpenMpiAllReduce::automatic : pinning.pins_nccl();
  if (!pinned) return;
  for (const auto& one : fresh) {
    if (one.operation != CollectiveOperation::all_reduce) continue;
    const auto refuse = [&](const std::string& what) {
      return failure("a pinned setting was not honoured for {} {} elements over {} ranks: {}",
                     one.probe.count, name_of(one.probe.dtype), machine.ranks, what);
    };
    if (machine.library == "nccl" && one.told) {
      const auto require = [&](const char* flag, std::string_view asked, std::string_view told) {
        if (asked != "auto" && asked != told)
          throw refuse(fmt::format("--{} {}, but NCCL says it took {}", flag, asked, told));
      };
      require("nccl-algorithm", name_of(pinning.nccl_algorithm), one.told->algorithm);
      require("nccl-protocol", name_of(pinning.nccl_protocol), one.told->protocol);
      if (pins.channels && one.told->channels > *pins.channels)
        throw refuse(
            fmt::format("--nccl-channels {}, but NCCL says it took {}", *pins.channels, one.told->channels));
    }
    if (machine.ranks == 2) continue;
    const auto verdict = judge_by_model(machine, one, pinning);
    if (verdict.agrees == false) throw refuse(verdict.text);
  }
}

}  // namespace shardrift
