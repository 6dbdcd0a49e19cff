#include "worker/probe_command.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <numeric>
#include <set>
#include <utility>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/name_length.hpp"
#include "common/progress.hpp"
#include "common/standard_output.hpp"
#include "common/utc_clock.hpp"
#include "options/probe_options.hpp"
#include "parallel/order_models/fold_order.hpp"
#include "parallel/probe/given_sum.hpp"
#include "parallel/profile/profile.hpp"
#include "parallel/profile/protocol_spans.hpp"
#include "record/environment_file.hpp"
#include "worker/collectives.hpp"
#include "worker/environment.hpp"
#include "worker/machine_profile.hpp"
#include "worker/probed_sums.hpp"
#include "worker/rank_device.hpp"
#include "worker/singletons.hpp"
#include "worker/stated.hpp"
#ifdef SHARDRIFT_HAVE_CUDA
#include "parallel/transport/nccl_transport.hpp"
#endif

namespace shardrift {
namespace {

constexpr int kInconclusive = static_cast<int>(ExitCode::inconclusive);
constexpr int kDiffers = static_cast<int>(ExitCode::beyond_tolerance);

std::string rounding_text(const ProbeResult& probe) {
  if (probe.first_not_binary() >= 0) return "not one sum of two at a time everywhere";
  if (!probe.accumulator)
    return fmt::format("element {} has other bits than its tree gives", probe.first_unexplained);
  if (*probe.accumulator == Accumulator::message) return "rounds at every add";
  return fmt::format("adds in {}, rounds once", name_of(*probe.accumulator));
}

std::string map_text(const ProbeResult& probe, int most) {
  std::string text;
  for (const auto& segment : probe.segments) {
    if (most-- == 0) {
      text += fmt::format("  … {} segments in all, {} different trees (--segments N shows more)\n",
                          probe.segments.size(), probe.trees.size());
      return text;
    }
    text += fmt::format("  [{}, {}) {}\n", segment.begin, segment.end,
                        segment.tree == kNotBinary
                            ? std::string("not binary")
                            : to_string(probe.trees[static_cast<std::size_t>(segment.tree)]));
  }
  return text;
}

// Every rank must have seen the same: each holds its own copy of the sum.
void require_one_sum(const World& world, const ProbeResult& probe) {
  const auto mine =
      sha256_hex(describe(probe, static_cast<int>(probe.segments.size()) + 1) + rounding_text(probe));
  const auto all = world.gather_all(mine);
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank] != all[0])
      throw AgreedError(ExitCode::failure, fmt::format("ranks 0 and {} hold different sums of {} {} elements",
                                                       rank, probe.count, name_of(probe.dtype)));
}

struct Probed {
  std::vector<ProbedCollective> collectives;
  std::vector<std::vector<GivenSum>> sums;  // of --numbers, one list a collective; empty without
};

Probed probe_all(const World& world, const ProbeOptions& options, Transport& transport, Backend& backend) {
  Probed probed;
  auto& fresh = probed.collectives;
  world.steps_with(0, world.size());
  const auto one_message = [&](DType dtype, std::int64_t count, Launch launch) {
    if (options.operation == CollectiveOperation::reduce_scatter)
      count = padded_count(count, dtype, world.size());
    progress::at("probing elements", count);
    if (world.stops_here())
      throw AgreedError(ExitCode::interrupted, "stopped by a signal; nothing was written");
    const int ranks = options.local ? options.shards : world.size();
    const auto sum =
        options.local ? fold_sum(backend, *options.local, options.shards, count, dtype)
                      : live_sum(transport, backend, options.device, options.operation, count, dtype, launch);
    transport.take_calls();
    const auto expected =
        options.collective == Collective::library ? Accumulator::message : peer_accumulator(dtype);
    fresh.push_back({options.operation, probe_sum(ranks, count, dtype, sum, true, expected), std::nullopt,
                     std::nullopt, launch == Launch::captured});
    fresh.back().told = told_of(transport.take_calls(), options.operation, fresh.back().probe);
    require_one_sum(world, fresh.back().probe);
    if (!options.numbers.empty())
      probed.sums.push_back(given_sums(ranks, count, dtype, sum, options.numbers));
  };
  for (const DType dtype : options.dtypes)
    for (const auto count : options.counts)
      for (const Launch launch : options.launches) one_message(dtype, count, launch);
  return probed;
}

// Where the protocol of NCCL's all-reduce changes with size. Two ranks have one order whatever the protocol
// is.
std::vector<NcclProtocolSpan> ask_protocols(const World& world, const ProbeOptions& options,
                                            Transport& transport, Backend& backend) {
  const bool worth_it = transport.name() == "nccl" && world.size() > 2 && !options.save_profile.empty() &&
                        options.operation == CollectiveOperation::all_reduce;
  if (!worth_it) return {};
  constexpr DType kDType = DType::bfloat16;  // the choice goes by bytes
  constexpr std::int64_t kBytes = 2;
  constexpr std::int64_t kLargest = (std::int64_t{64} << 20U) / kBytes;  // 2048 tokens at hidden 16384
  const Buffer message(backend, kLargest * kBytes);
  const auto ask = [&](std::int64_t count) -> std::optional<NcclProtocol> {
    transport.take_calls();
    transport.all_reduce(message.data(), count, kDType);
    backend.synchronize();
    const auto calls = transport.take_calls();
    // All ranks must ask on alike.
    const auto told = world.broadcast(calls.size() == 1 ? calls.front().protocol : "");
    for (const auto protocol : {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple})
      if (told == name_of(protocol)) return protocol;
    return std::nullopt;
  };
  return find_protocol_spans(ask, 1, kLargest, kBytes);
}

// Rank 0: verdicts, text, files.
int conclude(const ProbeOptions& options, const Pinning& pinning, CollectiveProfile machine,
             const record::Environment& environment, Probed probed) {
  auto& fresh = probed.collectives;
  std::optional<CollectiveProfile> reference;
  if (!options.profile.empty()) reference = read_profile(options.profile);
  if (!options.save_profile.empty() && std::filesystem::exists(options.save_profile)) {
    auto saved = read_profile(options.save_profile);
    require_same_machine(saved, machine);
    machine.probed = std::move(saved.probed);
    if (machine.told_spans.empty()) machine.told_spans = std::move(saved.told_spans);
  }
  if (!options.local) {
    for (const auto& one : fresh) machine.add(one);
    machine.model = model_of(machine, pinning);
    for (auto& one : machine.probed) one.model_agrees = agrees(machine.model, one);
    require_honoured(machine, fresh, pinning);
  }
  record::EnvironmentFile output{machine.date, options.command, SHARDRIFT_VERSION, environment};
  std::string text;  // said at once: what a library says meanwhile does not stand in it
  int calls = 0;
  int agreeing = 0;
  int differing = 0;
  for (auto& one : fresh) {
    const auto& probe = one.probe;
    Verdict verdict;
    if (options.local)
      verdict = compare_probe(probe, fold_order_map(*options.local, options.shards, probe.count, probe.dtype),
                              order_text(*options.local));
    else if (reference)
      verdict = judge_by_profile(*reference, one);
    else
      verdict = judge_by_model(machine, one, pinning);
    one.model_agrees = options.local ? std::nullopt : agrees(machine.model, one);
    calls += probe.calls;
    agreeing += verdict.agrees == true ? 1 : 0;
    differing += verdict.agrees == false ? 1 : 0;
    output.environment.collectives.push_back(describe_collective(machine, one, options.local));
    if (options.quiet) continue;
    text += fmt::format("{}{} of {} {} elements over {} {}: {} calls, {}\n", one.captured ? "captured " : "",
                        options.local ? "fold" : name_of(one.operation), probe.count, name_of(probe.dtype),
                        probe.ranks, options.local ? "shards" : "ranks", probe.calls, rounding_text(probe));
    if (one.told)
      text += fmt::format("  NCCL says: {}, {}, {} channels\n", one.told->algorithm, one.told->protocol,
                          one.told->channels);
    text += map_text(probe, options.segments);
    text += fmt::format("  {}\n", verdict.text);
    if (!options.numbers.empty())
      text +=
          fmt::format("  what the ranks give, in rank order, and its sum by elements (exact: {})\n{}",
                      std::accumulate(options.numbers.begin(), options.numbers.end(), 0.0),
                      describe(probed.sums[static_cast<std::size_t>(&one - fresh.data())], options.segments));
  }
  if (const auto orders = captured_orders(machine); !orders.empty() && !options.quiet)
    text += fmt::format("captured sums add {}\n", orders);
  print(text);
  if (!options.save_profile.empty()) write_profile(machine, options.save_profile);
  if (!options.output.empty()) record::write_environment_file(output, options.output, options.overwrite);
  const auto unknown = static_cast<int>(fresh.size()) - agreeing - differing;
  print(fmt::format("result library=\"{}\" messages={} calls={} agree={} differ={} unknown={}{}{}\n",
                    options.local ? "local" : machine.library + " " + machine.library_version, fresh.size(),
                    calls, agreeing, differing, unknown,
                    options.save_profile.empty() ? "" : " profile=" + options.save_profile.string(),
                    options.output.empty() ? "" : " output=" + options.output.string()));
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
  });
  require_agreement(world, {{"the command line", options.command, options.command}}, kSameCommand);
  world.end_stalls_after(options.stall_timeout);
  world.together([&] {
    if (options.local && world.size() != 1)
      throw usage_error("--local: one process folds all shards; start it without mpirun, not as {} ranks",
                        world.size());
    if (!options.local) refuse_singletons(world, kMaxProbeRanks);
    if (!options.local && (world.size() < 2 || world.size() > kMaxProbeRanks))
      throw usage_error(
          "probe needs 2 to {} ranks, this is {}: mpirun -np 4 shardrift-run probe …, or --local ORDER",
          kMaxProbeRanks, world.size());
    if (!options.numbers.empty())
      for (const auto dtype : options.dtypes)
        check_numbers(options.numbers, options.local ? options.shards : world.size(), dtype);
    for (const auto& [flag, path] :
         {std::pair{"--output", options.output}, std::pair{"--save-profile", options.save_profile}})
      refuse_long_name(flag, path, path.string() + ".tmp");
    if (world.rank() == 0 && !options.output.empty() && !options.overwrite &&
        std::filesystem::exists(options.output))
      throw usage_error("{}: already exists; use --overwrite to replace it", options.output.string());
  });
  constexpr int kThreads = 1;
  world.together([&] { device = open_rank_device(options.device, {}, kThreads, world); });
  require_agreement(world, stated_libraries(device, options.device), kSameMachine);
  Plan summed;
  summed.tensor_parallel = world.size();
  summed.device = options.device;
  summed.collective = options.collective;
  require_peer_sums(world, summed, pinning);
  auto environment = gather_environment(world, device.info, options.device, kThreads);
  if (options.device == Device::cuda) world.together([&] { check_devices(environment.devices); });
  auto machine = describe_machine(options.device, options.collective, world.size(), environment,
                                  world.broadcast(utc_now()));

  const Communicator ranks = world.split(0, world.rank());
  std::size_t largest = 0;
  for (const DType dtype : options.dtypes)
    largest = std::max(largest, static_cast<std::size_t>(options.counts.back()) * size_of(dtype));
  const auto transport =
      make_summing_transport(ranks, options.device, *device.backend, options.collective, largest);
  auto probed = probe_all(world, options, *transport, *device.backend);
  machine.told_spans = ask_protocols(world, options, *transport, *device.backend);
  int code = 0;
  world.together([&] {
    if (world.rank() == 0) code = conclude(options, pinning, machine, environment, std::move(probed));
  });
  return static_cast<int>(world.sum(code));
}

}  // namespace shardrift
