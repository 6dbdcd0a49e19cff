#include "cli/explain_run.hpp"

#include <algorithm>

#include "analysis/explain/ladder.hpp"
#include "cli/commands.hpp"
#include "cli/worker_runs.hpp"
#include "record/reader.hpp"
#include "weights/model_config.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

study::Study ladder_study(const Subject& subject, const fs::path& profile, bool live, bool mixture) {
  study::Study study;
  study.name = "explain";
  study.question = fmt::format("Why does {} not say what one device says?", describe(subject.plan));
  const auto add = [&](std::string_view name, const Plan& plan, bool replays_routes = false) {
    study::Entry entry;
    entry.name = name;
    entry.settings = subject.common;
    for (const auto& [flag, setting] : settings_of(plan)) entry.settings[flag] = setting;
    entry.settings["record"] = value_of_flag("hidden");
    entry.settings["checksums"] = switched_on();
    if (plan.reduction.needs_profile())
      entry.settings["collective-profile"] = value_of_flag(profile.string());
    if (replays_routes) entry.replay_routes = study.entries.front().name;
    if (!study.entries.empty()) entry.compare_with = study.entries.front().name;
    entry.role = study.entries.empty() ? study::Role::reference : study::Role::candidate;
    study.entries.push_back(std::move(entry));
  };
  for (const auto& rung : analysis::planned_rungs(subject.plan, !profile.empty(), mixture))
    add(name_of(rung.kind), rung.plan, rung.replays_routes);
  if (live) {
    Plan plan = subject.plan;
    plan.reduction = Reduction();
    add(name_of(analysis::RungKind::real), plan);
  }
  return study;
}

}  // namespace

ExitCode explain_run(const ExplainRunFlags& flags, ExplainOutput& output) {
  check_flags(flags);
  auto options = runner_options({flags.output, flags.worker, flags.device, flags.rerun_changed});
  study::Machine& machine = options.machine.machine;

  const Subject subject = subject_of(flags, machine);
  std::string note;
  const fs::path profile = profile_for(flags, subject, machine, note);
  // Ranks may share cores: a live rung is run for its bits, not for its speed.
  if (flags.live && machine.device == "cpu") machine.devices = std::max(machine.devices, flags.shards);
  const auto study = ladder_study(subject, profile, flags.live, has_experts(read_model_config(flags.model)));
  const auto ran = run_in(study, options, "rung");
  if (!ran) return ExitCode::interrupted;

  std::vector<analysis::RungFile> rungs;
  for (const auto& configuration : *ran)
    rungs.push_back(
        {configuration.name, from_name<analysis::RungKind>(configuration.name), configuration.output});
  if (subject.real) {
    rungs.push_back({std::string(name_of(analysis::RungKind::real)), analysis::RungKind::real, flags.real});
  }
  if (!note.empty()) print(note + "\n\n");
  return output.show_ladder(rungs);
}

}  // namespace shardrift::cli
