#include "worker/opened_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "common/usable_cores.hpp"
#include "options/launch.hpp"
#include "weights/fit.hpp"
#include "worker/collectives.hpp"
#include "worker/singletons.hpp"
#include "worker/start_times.hpp"
#include "worker/stated.hpp"

namespace shardrift {
namespace {
constexpr int kMostLoadingThreads = 8;  // they wait for memory: more gain little
}

OpenedPlan open_plan(const World& world, RunOptions& options, const Pinning& pinning) {
  OpenedPlan opened;
  ModelConfig& config = opened.config;
  world.together([&] { refuse_singletons(world, world_size(options.plan)); });
  require_agreement(world, stated_options(options), kSameCommand);
  world.end_stalls_after(options.stall_timeout);
  world.together([&] {
    const progress::Doing reading("reading the model's configuration");
    config = read_model_config(options.model);
  });
  require_agreement(world, stated_config(options, config), kSameModel);
  world.together([&] {
    const auto launch = resolve_launch(options, why_not_captured(options.plan, config));
    if (!launch.empty() && world.rank() == 0) print_notes({launch});
    options.plan = validated(options.plan, static_cast<int>(config.layers), world.size());
    require_fits(options.plan, config);
    if (options.run_ahead == RunAhead::on && has_experts(config) && options.plan.products != Products::fixed)
      throw usage_error(
          "--run-ahead on: {} is a mixture of experts, where a prompt's row after its end changes how many "
          "rows "
          "an expert has, and so its neighbours' bits; leave it out, or use --products fixed",
          config.architecture);
  });
  started("configuration");
  world.together([&] {
    const progress::Doing opening("opening the device");
    opened.device = open_rank_device(
        options.plan.device, {.tf32 = options.plan.dtype == DType::tf32, .products = options.plan.products},
        kernel_threads(options, world), world);
  });
  require_agreement(world, stated_libraries(opened.device, options.plan.device), kSameMachine);
  require_peer_sums(world, options.plan, pinning);
  started("device");
  return opened;
}

void print_notes(const std::vector<std::string>& notes) {
  for (const auto& note : notes) fmt::print(stderr, "shardrift-run: note: {}\n", note);
  std::fflush(stderr);
}

Checkpoint open_checkpoint(const World& world, const RunOptions& options, ModelConfig& config,
                           std::vector<std::string>& notes) {
  std::optional<Checkpoint> checkpoint;
  world.together([&] {
    checkpoint = Checkpoint::open(options.model);
    notes = fit_to_checkpoint(config, *checkpoint);
  });
  require_agreement(world, stated_tensors(options, *checkpoint), kSameModel);
  return std::move(*checkpoint);
}

GivenJobs share_jobs(const World& world, const RunOptions& options, const ModelConfig& config) {
  std::string text;
  GivenJobs given;
  world.together([&] {
    if (world.rank() != 0) return;
    const progress::Doing reading("reading prompts");
    const progress::Waiting waiting(progress::On::input, "the file");
    given = options.follow.empty() ? read_prompts(options.prompts, options.model, config)
                                   : read_followed(options.follow, config);
    if (options.mode == Mode::score) feed_at_once(given.jobs);
    check_lengths(given.jobs, config);
    text = jobs_to_json(given.jobs);
  });
  given.jobs = jobs_from_json(world.broadcast(text));
  return given;
}

Capacity capacity_for(const RunOptions& options, const ModelConfig& config, const std::vector<Job>& jobs) {
  std::int64_t longest = 0;
  for (const auto& job : jobs) {
    const auto more =
        options.mode == Mode::greedy ? static_cast<std::size_t>(options.max_new_tokens) : job.fed.size();
    longest = std::max(longest, static_cast<std::int64_t>(job.prompt.tokens.size() + more));
  }
  return capacity_of(options.plan, config, options.mode != Mode::score, prompt_lengths(jobs), longest,
                     options.in_flight);
}

namespace {
int cores_a_rank(const World& world) {
  return std::max(1, machine_cores() / world.local_size());
}
}  // namespace

std::string note_of_binding(const RunOptions& options, const World& world) {
  const int usable = usable_cores();
  if (options.threads > 0 || usable >= cores_a_rank(world)) return {};
  return fmt::format(
      "a rank may run on {} of this machine's {} cores, so it loads weights and computes on CPUs with as "
      "many threads; "
      "mpirun binds ranks to cores unless it is told --bind-to none",
      usable, machine_cores());
}

int kernel_threads(const RunOptions& options, const World& world) {
  if (options.threads > 0) return options.threads;
  return std::min(cores_a_rank(world), usable_cores());
}

int loading_threads(const RunOptions& options, const World& world) {
  return std::min(kernel_threads(options, world), kMostLoadingThreads);
}

ModelWeights load_on_rank(const World& world, const RunOptions& options, const Checkpoint& checkpoint,
                          const ModelConfig& config, const Place& place, Backend& backend,
                          const std::function<void(double)>& progress) {
  ModelWeights weights;
  world.together([&] {
    const progress::Doing loading("loading weights");
    weights = load_weights(
        checkpoint, config, options.plan, place, backend,
        [&](double share) {
          progress::done();
          progress(share);
        },
        loading_threads(options, world));
    backend.synchronize();
  });
  started("weights");
  return weights;
}

Groups::Groups(const World& world, const Plan& plan, const Place& place, const Backend& backend,
               std::size_t largest_message)
    : tensor_ranks(world.split(place.replica * plan.pipeline + place.stage, place.t)),
      stage_ranks(world.split(place.replica * plan.tensor_parallel + place.t, place.stage)),
      replica_ranks(world.split(place.replica, world.rank())),
      tensor(make_summing_transport(tensor_ranks, plan.device, backend, plan.collective, largest_message)),
      stage(make_transport(stage_ranks, plan.device, backend)) {
  started("groups of ranks");
}

}  // namespace shardrift
