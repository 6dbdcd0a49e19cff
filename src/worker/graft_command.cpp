#include "worker/graft_command.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "analysis/explain/ladder.hpp"
#include "analysis/graft/graft_presenters.hpp"
#include "common/error.hpp"
#include "common/input_files.hpp"
#include "common/output_file.hpp"
#include "common/progress_line.hpp"
#include "common/standard_output.hpp"
#include "options/graft_options.hpp"
#include "parallel/plan/prompt_groups.hpp"
#include "worker/collectives.hpp"
#include "worker/generate.hpp"
#include "worker/opened_plan.hpp"

namespace shardrift {
namespace {

// One of the two plans, loaded.
class Side {
 public:
  Side(const World& world, RunOptions options, const ModelConfig& config, const Checkpoint& checkpoint,
       RankDevice& device, Groups& groups, const std::vector<Job>& jobs, OrderMapSource orders,
       const std::function<void(double)>& progress)
      : options_(std::move(options)),
        config_(config),
        place_(place_of(options_.plan, 0)),
        backend_(*device.backend),
        weights_(load_on_rank(world, options_, checkpoint, config, place_, backend_, progress)),
        capacity_(capacity_for(options_, config, jobs)),
        forward_(config, options_.plan, place_, weights_, backend_, *groups.tensor, *groups.stage, capacity_,
                 std::move(orders)),
        graft_(config, options_.plan, place_, backend_),
        generator_(options_, config, backend_, forward_, groups.replica_ranks,
                   {place_, 0, writing_rank(options_.plan), device.info.name, backend_.asynchronous()},
                   nullptr) {
    generator_.stop_where([&world] { return world.stops_here(); });
    generator_.look_with([this] {
      graft_.rest();  // the pass is run again, out of its turn
      return Trace(config_, options_.plan, place_, backend_, {.not_finite = true}, capacity_.logit_rows);
    });
    forward_.graft_with(&graft_);
  }

  Graft& graft() { return graft_; }
  // The group's passes; rows come in one order, whatever the plan.
  void run(std::span<const Job> group,
           const std::function<void(std::span<const std::byte> logits, std::int32_t chosen)>& row) {
    generator_.on_row(row);
    if (!generator_.run({group}))
      throw AgreedError(
          ExitCode::interrupted,
          "stopped by a signal: a graft keeps nothing to go on from, the same command begins anew");
  }

 private:
  RunOptions options_;
  const ModelConfig& config_;
  Place place_;
  Backend& backend_;
  ModelWeights weights_;
  Capacity capacity_;
  Forward forward_;
  Graft graft_;
  Generator generator_;
};

// The rows of one group of prompts under one plan.
struct Rows {
  std::vector<std::byte> words;
  std::vector<std::int32_t> chosen;
  void add(std::span<const std::byte> logits, std::int32_t token) {
    words.insert(words.end(), logits.begin(), logits.end());
    chosen.push_back(token);
  }
  std::span<const std::byte> row(std::size_t i) const {
    const std::size_t bytes = words.size() / chosen.size();
    return std::span(words).subspan(i * bytes, bytes);
  }
};

// Reference, candidate and grafts, group by group, so that what is kept is of one group alone.
class Grafting {
 public:
  Grafting(Side& reference, Side& candidate, const ModelConfig& config, const Plan& plan,
           std::vector<record::Point> points)
      : reference_(reference),
        candidate_(candidate),
        comparer_(plan.logits_dtype, plan.logits_dtype, config.vocabulary),
        points_(std::move(points)),
        sums_(points_.size()) {}

  // say: told which of the group's runs begins.
  void run(std::span<const Job> group, const std::function<void(const std::string&)>& say) {
    Rows of_reference, plain;
    say("reference");
    reference_.graft().keep(points_.front().operation);
    reference_.run(group, [&](auto logits, auto chosen) { of_reference.add(logits, chosen); });
    say("candidate");
    candidate_.graft().rest();
    candidate_.run(group, [&](auto logits, auto chosen) {
      add(of_reference, plain.chosen.size(), logits, chosen, false, plain_);
      plain.add(logits, chosen);
    });
    for (std::size_t i = 0; i < points_.size(); ++i) {
      say(in_layer(points_[i].operation) ? fmt::format("layer {}", points_[i].layer) : "graft");
      candidate_.graft().put(reference_.graft(), points_[i]);
      std::size_t row = 0;
      candidate_.run(group, [&](auto logits, auto chosen) {
        const auto before = plain.row(row);
        const bool moved = !std::equal(logits.begin(), logits.end(), before.begin(), before.end());
        add(of_reference, row++, logits, chosen, moved, sums_[i]);
      });
    }
  }

  void finish(analysis::GraftTable& table) const {
    table.plain = plain_.distance();
    for (std::size_t i = 0; i < points_.size(); ++i)
      table.layers.push_back({in_layer(points_[i].operation) ? points_[i].layer : -1, sums_[i].distance()});
  }

 private:
  void add(const Rows& reference, std::size_t row, std::span<const std::byte> logits, std::int32_t chosen,
           bool moved, analysis::GraftSum& sum) {
    analysis::Step step;
    step.chosen_reference = reference.chosen.at(row);
    step.chosen_candidate = chosen;
    comparer_.compare(reference.row(row).data(), logits.data(), analysis::RowComparer::kNoToken, step);
    sum.add(step, moved);
  }

  Side& reference_;
  Side& candidate_;
  analysis::RowComparer comparer_;
  std::vector<record::Point> points_;
  std::vector<analysis::GraftSum> sums_;
  analysis::GraftSum plain_;
};

// Where the tensors are put, in turn.
std::vector<record::Point> points_of(const std::string& graft, const ModelConfig& config, const Plan& plan) {
  const auto wanted = analysis::graft_wanted("--graft", graft);
  const auto there = traced_operations(config, plan);
  if (std::find(there.begin(), there.end(), wanted.operation) == there.end())
    throw usage_error("--graft {}: {} has no {}", graft, config.architecture, name_of(wanted.operation));
  if (const auto why = why_not_grafted(wanted.operation, config); !why.empty())
    throw usage_error("--graft {}: {}", graft, why);
  if (!in_layer(wanted.operation)) return {{wanted.operation, 0}};
  if (wanted.layer && *wanted.layer >= config.layers)
    throw usage_error("--graft {}: the model's layers are 0 to {}", graft, config.layers - 1);
  std::vector<record::Point> points;
  for (std::int64_t layer = wanted.layer.value_or(0); layer <= wanted.layer.value_or(config.layers - 1);
       ++layer)
    if (layer_has(config, {wanted.operation, layer})) points.push_back({wanted.operation, layer});
  if (points.empty())
    throw usage_error("--graft {}: layer {} has no {}", graft, *wanted.layer, name_of(wanted.operation));
  return points;
}

void open_json(std::optional<OutputFile>& json, const RunOptions& run) {
  auto inputs = files_in(run.model);
  inputs.insert(inputs.end(), {run.model.string(), run.prompts.string(), run.follow.string(),
                               run.collective_profile.string()});
  json.emplace("--output", run.output.string(), inputs);
}

}  // namespace

int graft_command(const World& world, const std::vector<std::string>& arguments, const Pinning& pinning) {
  GraftOptions options;
  std::optional<OutputFile> json;
  world.together([&] {
    if (world.size() > 1)
      throw usage_error(
          "graft: {} ranks were started, all shards are computed by one: start it without mpirun",
          world.size());
    bool helped = false;
    options = parse_graft_options({arguments.begin() + 1, arguments.end()}, helped);
    analysis::graft_wanted("--graft", options.graft);  // before anything takes long
    open_json(json, options.run);
  });
  RunOptions& run = options.run;
  OpenedPlan opened = open_plan(world, run, pinning);
  ModelConfig& config = opened.config;
  std::vector<record::Point> points;
  RunOptions of_reference = run;
  world.together([&] {
    points = points_of(options.graft, config, run.plan);
    if (options.from == GraftSource::reference)
      of_reference.plan = validated(analysis::planned_rungs(run.plan, false).front().plan,
                                    static_cast<int>(config.layers), 1);
  });
  std::vector<std::string> notes;
  const Checkpoint checkpoint = open_checkpoint(world, run, config, notes);
  const GivenJobs given = share_jobs(world, run, config);
  notes.insert(notes.end(), given.notes.begin(), given.notes.end());
  print_notes(notes);
  const auto& jobs = given.jobs;
  const auto messages = messages_of(run, config, jobs);
  std::optional<CollectiveProfile> profile;
  world.together([&] {
    profile = open_profile(run, messages);
    modelled_collectives(run.plan, messages);  // refuses a message that a published order does not take
  });

  ProgressLine progress(run.quiet ? ProgressLine::Logs::off : ProgressLine::Logs::every_ten_seconds);
  Groups groups(world, run.plan, place_of(run.plan, 0), *opened.device.backend,
                largest_message(run.plan, messages));
  const auto orders = [&](const Plan& plan) {
    return profile && plan.reduction.needs_profile() ? orders_of(*profile, plan) : OrderMapSource();
  };
  const auto loading = [&](const char* whose) {
    return [&progress, whose](double share) {
      progress.show(fmt::format("loading weights of the {} {:3.0f}%", whose, 100 * share));
    };
  };
  world.steps_with(0, 1);
  Side reference(world, of_reference, config, checkpoint, opened.device, groups, jobs,
                 orders(of_reference.plan), loading("reference"));
  Side candidate(world, run, config, checkpoint, opened.device, groups, jobs, orders(run.plan),
                 loading("candidate"));
  Grafting grafting(reference, candidate, config, run.plan, points);
  std::size_t done = 0;
  for (const Range& range : prompt_groups(run.plan, static_cast<std::int64_t>(jobs.size()))) {
    const std::span<const Job> group(jobs.data() + range.begin, static_cast<std::size_t>(range.size()));
    grafting.run(group, [&](const std::string& which) {
      progress.show(
          fmt::format("graft {}: {} of {} prompts done, {}", options.graft, done, jobs.size(), which));
    });
    done += group.size();
  }

  analysis::GraftTable table;
  table.operation = name_of(points.front().operation);
  table.reference = describe(of_reference.plan);
  table.candidate = describe(run.plan);
  table.model = run.model.string();
  table.mode = name_of(run.mode);
  table.prompts = static_cast<std::int64_t>(jobs.size());
  table.vocabulary = config.vocabulary;
  grafting.finish(table);
  world.together([&] {
    json->stream() << analysis::graft_json(table);
    json->close();
    print(analysis::graft_text(table));
  });
  return 0;
}

}  // namespace shardrift
