#include "cli/explain_graft.hpp"

#include "analysis/explain/ladder.hpp"
#include "analysis/graft/graft_presenters.hpp"
#include "cli/commands.hpp"
#include "cli/worker_runs.hpp"
#include "experiments/runner/run_once.hpp"
#include "weights/model_config.hpp"

namespace shardrift::cli {
namespace {

// The ladder's last rung but the real run: all that one computes, on one device.
Plan candidate_of(const Subject& subject, bool has_profile, bool mixture) {
  Plan plan = analysis::planned_rungs(subject.plan, has_profile, mixture).back().plan;
  plan.launch = Launch::eager;
  return plan;
}

}  // namespace

ExitCode explain_graft(const ExplainRunFlags& flags, OutputFile& json, OutputFile& csv) {
  check_flags(flags);
  analysis::graft_wanted("--graft", flags.graft);
  const auto options = runner_options({flags.output, flags.worker, flags.device, flags.rerun_changed});
  const auto& machine = options.machine.machine;
  const Subject subject = subject_of(flags, machine);
  std::string note;
  const auto profile = profile_for(flags, subject, machine, note);
  const bool mixture = has_experts(read_model_config(flags.model));
  study::Settings settings = subject.common;
  for (const auto& [flag, setting] : settings_of(candidate_of(subject, !profile.empty(), mixture)))
    settings[flag] = setting;
  if (settings.at("reduction").text == "profile")
    settings["collective-profile"] = value_of_flag(profile.string());
  settings["graft"] = value_of_flag(flags.graft);

  study::Configuration graft;
  graft.name = "graft";
  graft.command = "graft";
  graft.device = machine.device;
  graft.output = options.output / kGraft;
  for (const auto& [flag, setting] : settings) {
    graft.arguments.push_back("--" + flag);
    if (!setting.is_switch) graft.arguments.push_back(setting.text);
  }
  ProgressLine line(ProgressLine::Logs::none);
  if (!runner::run_once(graft, options, line)) return ExitCode::interrupted;
  const auto table = analysis::read_graft(graft.output);
  if (!note.empty()) print(note + "\n\n");
  print(analysis::graft_text(table));
  if (json.wanted()) json.stream() << analysis::graft_json(table);
  if (csv.wanted()) analysis::write_csv(csv.stream(), table);
  json.close();
  csv.close();
  return ExitCode::ok;
}

}  // namespace shardrift::cli
