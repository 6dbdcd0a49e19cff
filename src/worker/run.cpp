#include "worker/run.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <set>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/progress.hpp"
#include "common/progress_line.hpp"
#include "common/standard_output.hpp"
#include "model/forward.hpp"
#include "parallel/plan/prompt_groups.hpp"
#include "record/output_names.hpp"
#include "record/reader.hpp"
#include "worker/collectives.hpp"
#include "worker/environment.hpp"
#include "worker/generate.hpp"
#include "worker/machine_profile.hpp"
#include "worker/opened_plan.hpp"
#include "worker/prompts.hpp"
#include "worker/recorder.hpp"
#include "worker/routes.hpp"
#include "worker/run_info.hpp"
#include "worker/run_output.hpp"
#include "worker/start_times.hpp"
#include "worker/stated.hpp"
#include "worker/totals.hpp"
#include "worker/traces.hpp"
#include "worker/weights_identity.hpp"

namespace shardrift {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// SHA-256 over the recorded prompts' logits hashes, in order: two runs with the same hash gave the same bits.
std::string combined_hash(const record::Reader& reader) {
  Sha256 hash;
  for (const auto& id : reader.prompt_ids()) hash.update(reader.prompt(id).hash);
  return hash.hex();
}

constexpr int kTries = 2;  // to run prompts again whose parts were damaged before the record was assembled

}  // namespace

int run_plan(const World& world, const RunOptions& options, OpenedPlan opened, const Pinning& pinning) {
  ModelConfig& config = opened.config;
  const RankDevice& device = opened.device;
  const bool root = world.rank() == 0;
  const Plan& plan = options.plan;
  const Place place = place_of(plan, world.rank());
  constexpr auto kLogs = ProgressLine::Logs::every_ten_seconds;
  constexpr auto kOff = ProgressLine::Logs::off;
  ProgressLine progress(root && !options.quiet ? kLogs : kOff);

  // What to run: prompts, and what an earlier, interrupted run already recorded.
  std::vector<std::string> notes;
  const Checkpoint checkpoint = open_checkpoint(world, options, config, notes);
  const GivenJobs given = share_jobs(world, options, config);
  const auto& jobs = given.jobs;
  notes.insert(notes.end(), given.notes.begin(), given.notes.end());
  if (auto note = note_of_binding(options, world); !note.empty()) notes.push_back(std::move(note));
  if (root) print_notes(notes);
  const auto messages = messages_of(options, config, jobs);
  std::optional<CollectiveProfile> profile;
  std::vector<record::CollectiveInfo> modelled;
  world.together([&] {
    profile = open_profile(options, messages);
    modelled = modelled_collectives(plan, messages);
  });
  require_agreement(world, "the collective profile", profile ? profile_to_json(*profile) : "", kSameCommand);
  std::optional<RouteReplay> replay;
  world.together([&] {
    if (!options.replay_routes.empty()) replay.emplace(options.replay_routes, config, jobs);
  });
  if (replay) require_agreement(world, "the routes that are replayed", replay->hash(), kSameCommand);
  auto run =
      describe_run(world, options, config, checkpoint, jobs,
                   gather_environment(world, device.info, plan.device, kernel_threads(options, world)));
  if (root) run.model.vocab = given.vocab;
  if (replay) run.environment.settings["routes"] = "replayed: " + replay->hash().substr(0, 16);
  if (plan.device == Device::cuda) world.together([&] { check_devices(run.environment.devices); });
  RunOutput output(world, options, jobs, progress);
  // Which weights: known before anything of an earlier run is touched; else hashed while they are loaded.
  WeightsIdentity identity(world, checkpoint, loading_threads(options, world));
  const auto settle = [&] {
    const auto hash = identity.hash(
        [&](double share) { progress.show(fmt::format("hashing weights {:3.0f}%", 100 * share)); });
    identify(run, options, hash, profile, replay ? replay->hash() : "");
    return output.prepare(run);
  };
  std::set<std::string> finished;
  const bool settled = output.has_earlier() || identity.known();
  if (settled)
    finished = settle();
  else
    identity.start();

  // Weights, then the forward pass over them.
  started("prompts and record");
  const auto load_begin = Clock::now();
  const ModelWeights weights = load_on_rank(
      world, options, checkpoint, config, place, *device.backend,
      [&](double share) { progress.show(fmt::format("loading weights {:3.0f}%", 100 * share)); });
  const double load_seconds = seconds_since(load_begin);
  if (!settled) finished = settle();
  Groups groups(world, plan, place, *device.backend, largest_message(plan, messages));
  std::optional<Forward> forward;
  std::optional<Trace> trace;
  std::optional<PassTraces> traces;
  std::unique_ptr<Recorder> recorder;
  const Capacity capacity = capacity_for(options, config, jobs);
  world.together([&] {
    forward.emplace(config, plan, place, weights, *device.backend, *groups.tensor, *groups.stage, capacity,
                    profile ? orders_of(*profile, plan) : OrderMapSource());
    if (place.writes())
      recorder =
          std::make_unique<Recorder>(output.options(), run, options.top_k, options.level != RecordLevel::top);
    const TraceOptions traced{options.level == RecordLevel::hidden, options.checksums, options.sketches};
    if (traced.any()) {
      trace.emplace(config, plan, place, *device.backend, traced, capacity.logit_rows);
      traces.emplace(*trace, config, plan, place, groups.replica_ranks);
      forward->trace_to(&*trace);
    }
  });

  started("buffers");

  // What the collectives do: seen now, at every message size of this run and before the first prompt, so that
  // a pin that is not honoured costs nothing; or as the profile says.
  if (plan.reduction.order == ReductionOrder::native && plan.row_linear != RowLinear::gather) {
    const progress::Doing probing("probing collectives");
    const auto machine = probed_machine(
        *groups.tensor, *device.backend, plan, messages,
        describe_machine(plan.device, plan.collective, plan.tensor_parallel, run.environment, run.created),
        pinning);
    world.together([&] { require_honoured(machine, machine.probed, pinning); });
    run.environment.collectives = observed_collectives(machine);
    if (const auto orders = captured_orders(machine); !orders.empty())
      run.environment.settings["captured sums"] = orders;
    groups.tensor->take_calls();
  }
  if (profile) run.environment.collectives = predicted_collectives(*profile, plan, messages);
  if (!modelled.empty()) run.environment.collectives = std::move(modelled);

  started("probing");

  // Prompts in groups; replicas take groups in turns.
  Generator generator(
      options, config, *device.backend, *forward, groups.replica_ranks,
      {place, place.replica, writing_rank(plan), fmt::format("{} ({})", device.info.name, world.host()),
       device.backend->asynchronous()},
      recorder.get());
  if (traces) generator.trace_with(&*traces);
  std::optional<RouteCollector> routes;
  if (has_experts(config)) {
    routes.emplace(config, plan, place, groups.replica_ranks);
    generator.collect_routes_with(&*routes);
  }
  if (replay) generator.replay_with(&*replay);
  const int replica_ranks = plan.tensor_parallel * plan.pipeline;
  world.steps_with(place.replica * replica_ranks, replica_ranks);
  generator.look_with(
      [&] { return Trace(config, plan, place, *device.backend, {.not_finite = true}, capacity.logit_rows); });
  generator.stop_where([&] { return world.stops_here(); });
  double first_token = 0;
  generator.on_pass([&](record::Phase, double) {
    if (first_token == 0) first_token = seconds_since_start();
  });
  const auto begin = Clock::now();
  ProgressLine running(place.replica == 0 && place.writes() && !options.quiet ? kLogs : kOff);
  generator.on_progress([&](const Progress& now) {
    const double rate = static_cast<double>(now.tokens) / seconds_since(begin);
    running.show(fmt::format("{}: {} of {} prompts, {} tokens, {:.1f} tokens/s", describe(plan),
                             now.prompts_done * plan.replicas, jobs.size(), now.tokens * plan.replicas,
                             rate * plan.replicas));
  });
  bool stopped = false;
  double flush_seconds = 0;
  const auto run_what_is_missing = [&] {
    const auto groups_of_prompts = prompt_groups(plan, static_cast<std::int64_t>(jobs.size()));
    std::vector<std::span<const Job>> mine;
    for (std::size_t group = 0; group < groups_of_prompts.size(); ++group) {
      const Range& range = groups_of_prompts[group];
      const std::span<const Job> members(jobs.data() + range.begin, static_cast<std::size_t>(range.size()));
      if (static_cast<int>(group % static_cast<std::size_t>(plan.replicas)) != place.replica) continue;
      // A prompt's bits depend on its group: where one is missing, all of it runs.
      if (std::all_of(members.begin(), members.end(),
                      [&](const Job& job) { return finished.contains(job.prompt.id); }))
        continue;
      mine.push_back(members);
    }
    stopped = !generator.run(std::move(mine));
    world.together([&] {
      const progress::Doing writing("writing the last prompts");
      const auto last_row = Clock::now();
      if (recorder) recorder->finish();
      flush_seconds += seconds_since(last_row);
    });
    stopped = world.sum(stopped ? 1 : 0) > 0;
    if (stopped)
      throw AgreedError(ExitCode::interrupted,
                        fmt::format("stopped by a signal; finished prompts are in {}.parts, "
                                    "the same command goes on from there",
                                    options.output.string()));
  };
  run_what_is_missing();
  // What is on the disk is what goes into the record. A part that was damaged meanwhile is run again.
  double assembly_seconds = 0;  // and of what is verified for it
  for (int again = 0;; ++again) {
    const auto verifying = Clock::now();
    const auto missing = output.missing(run);
    assembly_seconds = seconds_since(verifying);
    if (missing.empty()) break;
    if (again == kTries)
      throw AgreedError(ExitCode::failure,
                        fmt::format("{}.parts: parts are damaged as often as they are written, the first is "
                                    "'{}': check that disk",
                                    options.output.string(), *missing.begin()));
    finished.clear();
    for (const auto& job : jobs)
      if (!missing.contains(job.prompt.id)) finished.insert(job.prompt.id);
    run_what_is_missing();
  }

  note_calls(groups.tensor->take_calls(), run.environment.collectives);

  // One file, and one line about it.
  const Totals totals = total(world, options, generator, weights, *device.backend, place);
  record::RunTiming timing = generator.timing();
  timing.load_seconds = load_seconds;
  first_token = world.maximum(first_token);
  timing.recording_wait_seconds = world.maximum(recorder ? recorder->waited_seconds() : 0);
  timing.recording_flush_seconds = world.maximum(flush_seconds);
  world.together([&] {
    if (!root) return;
    const auto assembling = Clock::now();
    output.assemble(run, timing);
    assembly_seconds += seconds_since(assembling);
    const auto reader = record::Reader::open(options.output);
    std::string speed = fmt::format("decode_tokens_per_s={:.2f} prefill_tokens_per_s={:.1f}",
                                    totals.decode_rate, totals.prefill_rate);
    if (totals.bytes_per_second > 0)
      speed += fmt::format(" GB_per_s={:.1f} roofline={:.0f}%", totals.bytes_per_second / 1e9,
                           100 * totals.roofline);
    const auto recording =
        fmt::format("recording_wait_s={:.2f} recording_flush_s={:.2f} assembly_s={:.2f}",
                    timing.recording_wait_seconds, timing.recording_flush_seconds, assembly_seconds);
    print(fmt::format(
        "result plan=\"{}\" prompts={} {} load_s={:.1f} first_token_s={:.2f} {} logits_sha256={} output={}\n",
        describe(plan), jobs.size(), speed, load_seconds, first_token, recording,
        combined_hash(reader).substr(0, 16), options.output.string()));
  });
  return 0;
}

int run_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning) {
  RunOptions options;
  world.together([&] {
    bool helped = false;
    const progress::Doing reading("reading flags");
    const progress::Waiting waiting(progress::On::input, "--config");
    options = parse_run_options({arguments.begin() + 1, arguments.end()}, helped);
    options.command = "shardrift-run";
    for (const auto& argument : arguments) options.command += " " + argument;
    record::refuse_long_names(options.output);
  });
  OpenedPlan opened = open_plan(world, options, pinning);
  return run_plan(world, options, std::move(opened), pinning);
}

}  // namespace shardrift
