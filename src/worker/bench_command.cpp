#include "worker/bench_command.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "common/error.hpp"
#include "common/field_text.hpp"
#include "common/input_files.hpp"
#include "common/output_file.hpp"
#include "common/progress.hpp"
#include "common/progress_line.hpp"
#include "common/standard_output.hpp"
#include "common/stop_request.hpp"
#include "options/bench_options.hpp"
#include "parallel/profile/messages.hpp"
#include "weights/grouped_experts.hpp"
#include "worker/bench_report.hpp"
#include "worker/collectives.hpp"
#include "worker/environment.hpp"
#include "worker/generate.hpp"
#include "worker/hold.hpp"
#include "worker/opened_plan.hpp"
#include "worker/start_times.hpp"
#include "worker/stated.hpp"

namespace shardrift {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSettling = 2;  // decode passes of a group that do not count

std::vector<Stated> stated_measures(const BenchOptions& options) {
  std::vector<Stated> stated;
  for_each_field(options, [&](const auto& row, const auto& field) {
    stated.push_back({fmt::format("--{}", flag_of(row.key)), text_of(field)});
  });
  return stated;
}

std::int64_t longest_sequence(const BenchOptions& options) {
  std::int64_t longest = 0;
  for (const int context : options.contexts)
    longest = std::max<std::int64_t>(longest, std::int64_t{context} + options.tokens + kSettling);
  for (const int length : options.prefills) longest = std::max<std::int64_t>(longest, length);
  return longest;
}

void check_context(const BenchOptions& options, const ModelConfig& config) {
  for (const int context : options.contexts)
    if (std::int64_t{context} + options.tokens + kSettling > config.max_positions)
      throw usage_error(
          "--context {}: with --tokens {} it needs {} positions, this model has {}: give a shorter one, or "
          "fewer tokens",
          context, options.tokens, std::int64_t{context} + options.tokens + kSettling, config.max_positions);
  for (const int length : options.prefills)
    if (length > config.max_positions)
      throw usage_error("--prefill {}: this model has {} positions: give a shorter one", length,
                        config.max_positions);
}

std::int32_t token_at(std::int64_t index, const ModelConfig& config) {
  return static_cast<std::int32_t>((index * 7919 + 5) % config.vocabulary);
}

// Prompts of one length, one a sequence, of tokens made from their index.
std::vector<Job> made_jobs(int count, int length, const ModelConfig& config) {
  std::vector<Job> jobs(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    auto& prompt = jobs[i].prompt;
    prompt.id = fmt::format("{}-tokens-{}", length, i);
    prompt.source = "tokens";
    for (std::int64_t j = 0; j < length; ++j)
      prompt.tokens.push_back(token_at(j + 31 * static_cast<std::int64_t>(i), config));
  }
  return jobs;
}

// The pass that the phases are timed of: the one in the middle of what was decoded, or the prefill.
Pass made_pass(record::Phase phase, int length, const BenchOptions& options, const ModelConfig& config) {
  const Plan& plan = options.run.plan;
  Pass pass;
  if (phase == record::Phase::decode) {
    pass.decodes = true;
    for (std::int32_t i = 0; i < plan.batch; ++i) {
      pass.tokens.push_back(token_at(i, config));
      pass.positions.push_back(length + options.tokens / 2);
      pass.slots.push_back(i);
      pass.wanted.push_back(i);
    }
    return pass;
  }
  for (std::int32_t i = 0; i < plan.prefill_batch; ++i) {
    for (std::int32_t j = 0; j < length; ++j) {
      pass.tokens.push_back(token_at(j, config));
      pass.positions.push_back(j);
      pass.slots.push_back(i);
    }
    pass.wanted.push_back((i + 1) * length - 1);
  }
  return pass;
}

// Of this rank: keys and values that a decode pass reads after so many tokens.
double cache_bytes(const ModelWeights& weights, const ModelConfig& config, const Plan& plan,
                   const Place& place, std::int64_t context) {
  double bytes = 0;
  for (std::size_t layer = 0; layer < weights.layers.size(); ++layer) {
    const auto window = config.specs[static_cast<std::size_t>(place.layers.begin) + layer].window;
    const auto keys = window > 0 ? std::min(context, window) : context;
    for (const auto& shard : weights.layers[layer].shards)
      bytes += static_cast<double>(2 * shard.kv_heads * config.head_dim * keys * plan.batch) *
               static_cast<double>(size_of(plan.dtype));
  }
  return bytes;
}

double sum_of(const World& world, double value) {
  return static_cast<double>(world.sum(static_cast<std::int64_t>(value)));
}

// Everything that is measured of a loaded model.
class Bench {
 public:
  Bench(const World& world, BenchOptions& options, const ModelConfig& config, const Place& place,
        Backend& device, const ModelWeights& weights, Groups& groups, OrderMapSource orders)
      : world_(world),
        options_(options),
        plan_(options.run.plan),
        config_(config),
        place_(place),
        weights_(weights),
        backend_(device, only_),
        tensor_(*groups.tensor, BenchPhase::collectives, only_),
        stage_(*groups.stage, BenchPhase::stages, only_),
        forward_(config, plan_, place, weights, backend_, tensor_, stage_, capacity(), std::move(orders)),
        hold_(options.json),
        generator_(options.run, config, backend_, forward_, groups.replica_ranks,
                   {place, place.replica, writing_rank(plan_), "", device.asynchronous()}, nullptr) {
    const int replica_ranks = plan_.tensor_parallel * plan_.pipeline;
    world.steps_with(place.replica * replica_ranks, replica_ranks);
    generator_.stop_where([&] { return world_.stops_here(); });
    generator_.look_with(
        [&] { return Trace(config_, plan_, place_, backend_, {.not_finite = true}, capacity().logit_rows); });
    generator_.on_pass([&](record::Phase phase, double seconds) {
      if (start_.empty()) {
        started("first token");
        start_ = start_times();
      }
      if (phase == measured_) passes_.push_back(seconds);
    });
  }

  const std::vector<StartTime>& start() const { return start_; }
  void bandwidth(double bytes_per_second) { bandwidth_ = bytes_per_second; }

  BenchShape decode(int context) {
    BenchShape shape;
    shape.length = context;
    const auto settling = static_cast<std::size_t>(kSettling * options_.run.in_flight);
    options_.run.max_new_tokens = options_.tokens + kSettling + 1;  // the first is the prefill's
    for (int repeat = -1; repeat < options_.repeats; ++repeat) {    // -1: nothing is cold after it
      run(record::Phase::decode, context, plan_.batch, options_.run.in_flight);
      double seconds = 0;
      for (std::size_t i = settling; i < passes_.size(); ++i) seconds += passes_[i];
      if (repeat >= 0)
        shape.repeats.push_back(slowest_replica(seconds / static_cast<double>(passes_.size() - settling)));
    }
    finish(shape, plan_.batch);
    const double floor = (static_cast<double>(weights_.bytes_per_token) +
                          cache_bytes(weights_, config_, plan_, place_, context + options_.tokens / 2)) /
                         bandwidth_;
    shape.cache_bytes =
        sum_of(world_, cache_bytes(weights_, config_, plan_, place_, context + options_.tokens / 2)) /
        plan_.replicas;
    shape.floor_seconds = through_stages(world_, plan_, place_, options_.run.in_flight, floor);
    return shape;
  }

  BenchShape prefill(int length) {
    BenchShape shape;
    shape.phase = record::Phase::prefill;
    shape.length = length;
    options_.run.max_new_tokens = 1;
    run(record::Phase::prefill, length, plan_.prefill_batch, options_.run.in_flight * (1 + options_.repeats));
    for (auto i = static_cast<std::size_t>(options_.run.in_flight); i < passes_.size(); ++i)
      shape.repeats.push_back(slowest_replica(passes_[i]));
    finish(shape, static_cast<std::int64_t>(length) * plan_.prefill_batch);
    return shape;
  }

  Capacity capacity() const {
    return capacity_of(plan_, config_, true, prompt_lengths(), longest_sequence(options_),
                       options_.run.in_flight);
  }
  // Of every pass that is measured.
  std::vector<std::int64_t> prompt_lengths() const { return prompt_lengths(options_); }
  static std::vector<std::int64_t> prompt_lengths(const BenchOptions& options) {
    std::vector<std::int64_t> lengths;
    for (const auto* list : {&options.contexts, &options.prefills})
      for (const int length : *list)
        lengths.insert(lengths.end(), static_cast<std::size_t>(options.run.plan.batch), length);
    return lengths;
  }

 private:
  // So many groups of so many prompts; passes_ has the seconds of the phase's passes.
  void run(record::Phase phase, int length, int prompts, int groups) {
    const auto jobs = made_jobs(prompts, length, config_);
    passes_.clear();
    measured_ = phase;
    generator_.run(
        std::vector<std::span<const Job>>(static_cast<std::size_t>(groups), std::span<const Job>(jobs)));
    stop_if_asked(world_);
  }

  double slowest_replica(double seconds) const { return world_.maximum(place_.writes() ? seconds : 0); }

  void finish(BenchShape& shape, std::int64_t tokens) {
    shape.seconds = median(shape.repeats);
    shape.tokens_per_second = static_cast<double>(tokens * plan_.replicas) / shape.seconds;
    shape.weight_bytes = sum_of(world_, static_cast<double>(weights_.bytes_per_token)) / plan_.replicas;
    const Pass pass = made_pass(shape.phase, shape.length, options_, config_);
    shape.captured = backend_.asynchronous() && forward_.is_the_devices_alone(pass);
    hold_.here(stop_requested);
    const progress::Doing timing("timing phases");
    auto mine = time_phases(world_, backend_, forward_, plan_, only_, pass, shape.captured);
    for (double& seconds : mine.alone)
      seconds = through_stages(world_, plan_, place_, options_.run.in_flight, seconds);
    mine.pass = through_stages(world_, plan_, place_, options_.run.in_flight, mine.pass);
    shape.phases = mine;
  }

  const World& world_;
  BenchOptions& options_;
  const Plan& plan_;
  const ModelConfig& config_;
  const Place& place_;
  const ModelWeights& weights_;
  OnlyPhase only_;
  PhaseBackend backend_;
  PhaseTransport tensor_, stage_;
  Forward forward_;
  Hold hold_;
  Generator generator_;
  double bandwidth_ = 0;
  record::Phase measured_ = record::Phase::decode;
  std::vector<double> passes_;
  std::vector<StartTime> start_;  // as it was when the first token was there
};

// On the rank that writes: known before anything takes long. Not over the model or the profile, nor among the
// model's files, where it might count as one.
void open_json(std::optional<OutputFile>& json, const RunOptions& run, const std::filesystem::path& path) {
  std::error_code ignored;
  const bool one_file = std::filesystem::is_regular_file(run.model, ignored);
  auto inputs = files_in(one_file ? absolute(run.model).parent_path() : run.model);
  // Beside a GGUF file lie its other parts, and what is no part of it.
  if (one_file) std::erase_if(inputs, [](const auto& file) { return !file.ends_with(".gguf"); });
  inputs.insert(inputs.end(), {run.model.string(), run.collective_profile.string()});
  const progress::Doing opening("opening --json");
  const progress::Waiting waiting(progress::On::input, "its reader");  // of a pipe
  json.emplace("--json", path.string(), inputs);
}

BenchOptions agreed_options(const World& world, const std::vector<std::string>& arguments) {
  BenchOptions options;
  world.together([&] {
    bool helped = false;
    options = parse_bench_options({arguments.begin() + 1, arguments.end()}, helped);
    options.run.command = "shardrift-run";
    for (const auto& argument : arguments) options.run.command += " " + argument;
  });
  require_agreement(world, stated_measures(options), kSameCommand);
  return options;
}

std::string notes_of(const ModelConfig& config, const Plan& plan, bool asynchronous, int threads) {
  if (has_experts(config))
    return fmt::format(
        "{}phases were run operation by operation: a mixture's routes are read by the host, and each phase "
        "holds that wait; GB/s counts the experts of one row\n",
        asynchronous && groups_experts(plan) ? "of decode, phases are CUDA graphs; of prefill, " : "");
  if (asynchronous) return "phases are CUDA graphs of their operations alone\n";
  return fmt::format("phases are passes of their operations alone, on {} thread(s) a rank\n", threads);
}

}  // namespace

int bench_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning) {
  BenchOptions options = agreed_options(world, arguments);
  const bool root = world.rank() == 0;
  std::optional<OutputFile> json;
  world.together([&] {
    if (root) open_json(json, options.run, options.json);
  });
  OpenedPlan opened = open_plan(world, options.run, pinning);
  ModelConfig& config = opened.config;
  Backend& device = *opened.device.backend;
  const Plan& plan = options.run.plan;
  const Place place = place_of(plan, world.rank());
  ProgressLine progress(root && !options.run.quiet ? ProgressLine::Logs::every_ten_seconds
                                                   : ProgressLine::Logs::off);
  std::vector<std::string> notes;
  const Checkpoint checkpoint = open_checkpoint(world, options.run, config, notes);
  world.together([&] { check_context(options, config); });
  const auto messages = messages_of(plan, config.hidden, Bench::prompt_lengths(options), true);
  std::optional<CollectiveProfile> profile;
  world.together([&] {
    profile = open_profile(options.run, messages);
    modelled_collectives(plan, messages);  // refuses a message that a published order does not take
  });
  const auto environment =
      gather_environment(world, opened.device.info, plan.device, kernel_threads(options.run, world));
  if (plan.device == Device::cuda) world.together([&] { check_devices(environment.devices); });

  BenchResult result{
      .plan = describe(plan),
      .device = fmt::format("{} ({})", opened.device.info.name, world.host()),
      .version = SHARDRIFT_VERSION,
      .command = options.run.command,
      .notes = notes_of(config, plan, device.asynchronous(), kernel_threads(options.run, world)),
      .tokens = options.tokens,
      .stages = plan.pipeline > 1};
  {
    const progress::Doing reading("measuring how fast memory is read");
    progress.show("measuring how fast memory is read");
    result.product_bandwidth = -world.maximum(-product_bandwidth(world, device, plan.device, plan.dtype));
    world.barrier();
    result.copy_bandwidth = -world.maximum(-device.read_bandwidth());
  }
  started("measuring memory");
  const auto begin = Clock::now();
  const ModelWeights weights = load_on_rank(
      world, options.run, checkpoint, config, place, device,
      [&](double share) { progress.show(fmt::format("loading weights {:3.0f}%", 100 * share)); });
  result.load_seconds = world.maximum(std::chrono::duration<double>(Clock::now() - begin).count());
  Groups groups(world, plan, place, device, largest_message(plan, messages));
  std::optional<Bench> bench;
  world.together([&] {
    bench.emplace(world, options, config, place, device, weights, groups,
                  profile ? orders_of(*profile, plan) : OrderMapSource());
  });
  started("buffers");
  bench->bandwidth(std::max(result.product_bandwidth, result.copy_bandwidth));
  for (const int context : options.contexts) {
    progress.show(fmt::format("decoding after {} tokens", context));
    result.shapes.push_back(bench->decode(context));
  }
  for (const int length : options.prefills) {
    progress.show(fmt::format("prefill of {} tokens", length));
    result.shapes.push_back(bench->prefill(length));
  }
  result.start = bench->start();
  stop_if_asked(world);
  world.together([&] {
    if (!root) return;
    print(bench_table(result) + bench_line(result));
    if (json->wanted()) json->stream() << bench_json(result);
    json->close();
  });
  return 0;
}

}  // namespace shardrift
