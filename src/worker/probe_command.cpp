#include "worker/probe_command.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <set>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "parallel/profile/profile.hpp"
#include "record/environment_file.hpp"
#include "worker/environment.hpp"
#include "worker/probe_options.hpp"
#include "worker/probed_sums.hpp"
#include "worker/rank_device.hpp"
#ifdef SHARDRIFT_HAVE_CUDA
#include "parallel/transport/nccl_transport.hpp"
#endif

namespace shardrift {
namespace {

constexpr int kInconclusive = static_cast<int>(ExitCode::inconclusive);
constexpr int kDiffers = static_cast<int>(ExitCode::beyond_tolerance);

// What an NCCL or MPI variable may steer; logging does not.
bool steers(const std::string& variable) {
  return (variable.starts_with("NCCL_") && !variable.starts_with("NCCL_DEBUG")) ||
         variable.starts_with("OMPI_MCA_coll");
}

// An empty profile of this machine, as the probes will fill it.
CollectiveProfile describe_machine(const ProbeOptions& options, int ranks,
                                   const record::Environment& environment, const std::string& date) {
  CollectiveProfile profile;
  profile.transport = options.device == Device::cuda ? "nccl" : "mpi";
  profile.library = profile.transport;
  const auto version = environment.libraries.find(profile.library);
  if (version != environment.libraries.end()) profile.library_version = version->second;
  profile.ranks = ranks;
  profile.device = environment.devices.front().name;
  std::set<std::string> hosts;
  for (const auto& device : environment.devices) hosts.insert(device.host);
  profile.machine = fmt::format("{}", fmt::join(hosts, ","));
  for (const auto& [name, value] : environment.variables)
    if (steers(name)) profile.variables[name] = value;
  profile.date = date;
  return profile;
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

CollectiveModel model_of(const CollectiveProfile& profile, const Pinning& pinning) {
  if (profile.library == "mpi") return openmpi_model(profile);
  if (auto model = infer_nccl_model(profile.probed, pinning.nccl())) return *model;
  return std::monostate{};
}

// What one probe is compared with, and what came of it.
struct Verdict {
  std::optional<bool> agrees;  // nullopt: nothing to compare with
  std::string text;
};

Verdict compare(const ProbeResult& probe, const OrderMap& expected, const std::string& name) {
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
    return compare(probe, *map, "order model (" + describe(machine.model) + ")");
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
    const auto map = profile.map_for(probed.operation, probed.probe.dtype, probed.probe.count);
    return compare(probed.probe, map, profile.file.string());
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

std::string joined_rings(const NcclModel& model) {
  std::string text;
  for (const auto& ring : model.rings)
    text += fmt::format("{}{}", text.empty() ? "" : "\n", fmt::join(ring, " "));
  return text;
}

record::CollectiveInfo describe_collective(const CollectiveProfile& machine, const ProbedCollective& probed,
                                           const ProbeOptions& options) {
  const auto& probe = probed.probe;
  record::CollectiveInfo info;
  info.operation = name_of(probed.operation);
  info.count = probe.count;
  info.dtype = name_of(probe.dtype);
  info.ranks = probe.ranks;
  info.library = options.local ? "local" : machine.library;
  info.version = options.local ? SHARDRIFT_VERSION : machine.library_version;
  info.source = "probed";
  if (options.local) info.algorithm = order_text(*options.local);
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
    }
  }
  for (const auto& tree : probe.trees) info.trees.push_back(to_string(tree));
  if (probe.first_not_binary() >= 0) info.trees.emplace_back("not binary");
  for (const auto& segment : probe.segments)
    info.segments.push_back({segment.begin, segment.end,
                             segment.tree == kNotBinary ? static_cast<std::int64_t>(probe.trees.size())
                                                        : std::int64_t{segment.tree}});
  return info;
}

std::string rounding_text(const ProbeResult& probe) {
  if (probe.first_not_binary() >= 0) return "not one sum of two at a time everywhere";
  if (!probe.accumulator)
    return fmt::format("element {} has other bits than its tree gives", probe.first_unexplained);
  if (*probe.accumulator == Accumulator::message) return "rounds at every add";
  return fmt::format("adds in {}, rounds once", name_of(*probe.accumulator));
}

void print_map(const ProbeResult& probe, int most) {
  for (const auto& segment : probe.segments) {
    if (most-- == 0) {
      fmt::print("  … {} segments in all, {} different trees (--segments N shows more)\n",
                 probe.segments.size(), probe.trees.size());
      return;
    }
    fmt::print("  [{}, {}) {}\n", segment.begin, segment.end,
               segment.tree == kNotBinary ? std::string("not binary")
                                          : to_string(probe.trees[static_cast<std::size_t>(segment.tree)]));
  }
}

// Every rank must have seen the same: each holds its own copy of the sum.
void require_agreement(const World& world, const ProbeResult& probe) {
  const auto mine =
      sha256_hex(describe(probe, static_cast<int>(probe.segments.size()) + 1) + rounding_text(probe));
  const auto all = world.gather_all(mine);
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank] != all[0])
      throw AgreedError(ExitCode::failure, fmt::format("ranks 0 and {} hold different sums of {} {} elements",
                                                       rank, probe.count, name_of(probe.dtype)));
}

// Two ranks add in one order whatever the library does, so nothing can be seen there.
void require_honoured(const CollectiveProfile& machine, const std::vector<ProbedCollective>& fresh,
                      const Pinning& pinning) {
  const auto pins = pinning.nccl();
  const bool pinned = machine.library == "mpi" ? pinning.mpi_all_reduce != OpenMpiAllReduce::automatic
                                               : pins.algorithm || pins.protocol || pins.channels;
  if (!pinned || machine.ranks == 2) return;
  for (const auto& one : fresh) {
    if (one.operation != CollectiveOperation::all_reduce) continue;
    const auto verdict = judge_by_model(machine, one, pinning);
    if (verdict.agrees == false)
      throw failure("a pinned setting was not honoured for {} {} elements: {}", one.probe.count,
                    name_of(one.probe.dtype), verdict.text);
  }
}

std::vector<ProbedCollective> probe_all(const World& world, const ProbeOptions& options, Transport& transport,
                                        Backend& backend) {
  std::vector<ProbedCollective> fresh;
  for (const DType dtype : options.dtypes)
    for (auto count : options.counts) {
      if (options.operation == CollectiveOperation::reduce_scatter)
        count = padded_count(count, dtype, world.size());
      const int ranks = options.local ? options.shards : world.size();
      const auto sum = options.local
                           ? fold_sum(backend, *options.local, options.shards, count, dtype)
                           : live_sum(transport, backend, options.device, options.operation, count, dtype);
      fresh.push_back({options.operation, probe_sum(ranks, count, dtype, sum), std::nullopt});
      require_agreement(world, fresh.back().probe);
    }
  return fresh;
}

// Rank 0: verdicts, text, files.
int conclude(const ProbeOptions& options, const Pinning& pinning, CollectiveProfile machine,
             const record::Environment& environment, std::vector<ProbedCollective> fresh) {
  std::optional<CollectiveProfile> reference;
  if (!options.profile.empty()) reference = read_profile(options.profile);
  if (!options.save_profile.empty() && std::filesystem::exists(options.save_profile)) {
    auto saved = read_profile(options.save_profile);
    require_same_machine(saved, machine);
    machine.probed = std::move(saved.probed);
  }
  if (!options.local) {
    for (const auto& one : fresh) machine.add(one);
    machine.model = model_of(machine, pinning);
    for (auto& one : machine.probed) one.model_agrees = agrees(machine.model, one);
    require_honoured(machine, fresh, pinning);
  }
  record::EnvironmentFile output{machine.date, options.command, SHARDRIFT_VERSION, environment};
  int calls = 0;
  int agreeing = 0;
  int differing = 0;
  for (auto& one : fresh) {
    const auto& probe = one.probe;
    Verdict verdict;
    if (options.local)
      verdict = compare(probe, local_order_map(*options.local, options.shards, probe.count),
                        order_text(*options.local));
    else if (reference)
      verdict = judge_by_profile(*reference, one);
    else
      verdict = judge_by_model(machine, one, pinning);
    one.model_agrees = options.local ? std::nullopt : agrees(machine.model, one);
    calls += probe.calls;
    agreeing += verdict.agrees == true ? 1 : 0;
    differing += verdict.agrees == false ? 1 : 0;
    output.environment.collectives.push_back(describe_collective(machine, one, options));
    if (options.quiet) continue;
    fmt::print("{} of {} {} elements over {} {}: {} calls, {}\n",
               options.local ? "fold" : name_of(one.operation), probe.count, name_of(probe.dtype),
               probe.ranks, options.local ? "shards" : "ranks", probe.calls, rounding_text(probe));
    print_map(probe, options.segments);
    fmt::print("  {}\n", verdict.text);
  }
  if (!options.save_profile.empty()) write_profile(machine, options.save_profile);
  if (!options.output.empty()) record::write_environment_file(output, options.output, options.overwrite);
  const auto unknown = static_cast<int>(fresh.size()) - agreeing - differing;
  fmt::print("result library=\"{}\" messages={} calls={} agree={} differ={} unknown={}{}{}\n",
             options.local ? "local" : machine.library + " " + machine.library_version, fresh.size(), calls,
             agreeing, differing, unknown,
             options.save_profile.empty() ? "" : " profile=" + options.save_profile.string(),
             options.output.empty() ? "" : " output=" + options.output.string());
  std::fflush(stdout);
  if (!options.check) return 0;
  if (differing > 0) return kDiffers;
  return unknown > 0 ? kInconclusive : 0;
}

}  // namespace

int probe_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning) {
  ProbeOptions options;
  RankDevice device;
  world.together([&] {
    bool helped = false;
    options = parse_probe_options({arguments.begin() + 1, arguments.end()}, helped);
    options.command = "shardrift-run";
    for (const auto& argument : arguments) options.command += " " + argument;
    if (options.local && world.size() != 1)
      throw usage_error("--local: one process folds all shards; start it without mpirun, not as {} ranks",
                        world.size());
    if (!options.local && (world.size() < 2 || world.size() > kMaxProbeRanks))
      throw usage_error(
          "probe needs 2 to {} ranks, this is {}: mpirun -np 4 shardrift-run probe …, or --local ORDER",
          kMaxProbeRanks, world.size());
    if (world.rank() == 0 && !options.output.empty() && !options.overwrite &&
        std::filesystem::exists(options.output))
      throw usage_error("{}: already exists; use --overwrite to replace it", options.output.string());
  });
  constexpr int kThreads = 1;
  world.together([&] { device = open_rank_device(options.device, false, kThreads, world); });
  auto environment = gather_environment(world, device.info, options.device, kThreads);
  if (options.device == Device::cuda) world.together([&] { check_devices(environment.devices); });
  const auto machine = describe_machine(options, world.size(), environment, world.broadcast(utc_now()));

  const Communicator ranks = world.split(0, world.rank());
  const auto transport = make_transport(ranks, options.device, *device.backend);
  auto fresh = probe_all(world, options, *transport, *device.backend);
  int code = 0;
  world.together([&] {
    if (world.rank() == 0) code = conclude(options, pinning, machine, environment, std::move(fresh));
  });
  return static_cast<int>(world.sum(code));
}

}  // namespace shardrift
