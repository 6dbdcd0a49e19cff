#include "cli/study_run.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "cli/commands.hpp"
#include "cli/study_conclusion.hpp"
#include "common/counted.hpp"
#include "common/listed_names.hpp"
#include "common/text.hpp"
#include "common/text_columns.hpp"
#include "experiments/runner/engine_check.hpp"
#include "experiments/runner/progress.hpp"
#include "experiments/study/profiles.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;
using runner::duration_text;

double free_bytes_at(fs::path folder) {
  std::error_code error;
  while (!fs::exists(folder, error) && folder.has_parent_path() && folder != folder.parent_path())
    folder = folder.parent_path();
  const auto space = fs::space(folder, error);
  return error ? -1 : static_cast<double>(space.available);
}

std::string state_text(const runner::RunStatus* run) {
  if (run == nullptr) return "to do";
  if (run->state == runner::RunState::done) return "done";
  const auto finished = runner::finished_prompts(run->output, 0);
  if (finished > 0) return fmt::format("{} of {} prompts", finished, run->prompts);
  return run->state == runner::RunState::failed ? "failed before" : "to do";
}

// A run is only as far as its fingerprint is the one asked for.
const runner::RunStatus* earlier_run(const std::optional<runner::StudyStatus>& earlier,
                                     const study::Configuration& configuration) {
  const auto* run = earlier ? earlier->find(configuration.name) : nullptr;
  return run != nullptr && run->fingerprint == configuration.fingerprint ? run : nullptr;
}

// --batch of all runs, where it is not 1 and they have one in common.
std::string common_batch(const study::StudyPlan& plan) {
  std::set<std::string> values;
  for (const auto& one : plan.configurations) {
    const auto& words = one.arguments;
    const auto flag = std::find(words.begin(), words.end(), "--batch");
    values.insert(flag == words.end() || flag + 1 == words.end() ? "1" : *(flag + 1));
  }
  return values.size() == 1 && *values.begin() != "1" ? *values.begin() : "";
}

// Chosen runs that are not done.
std::vector<std::string> names_to_do(const study::StudyPlan& plan, const runner::RunnerOptions& options) {
  const auto earlier = runner::read_status(options.output);
  auto names = study::chosen_names(plan, options.only);
  std::erase_if(names, [&](const std::string& name) {
    const auto one = std::find_if(plan.configurations.begin(), plan.configurations.end(),
                                  [&](const auto& each) { return each.name == name; });
    const auto* run = earlier_run(earlier, *one);
    return run != nullptr && run->state == runner::RunState::done;
  });
  return names;
}

// What other engines' commands are given, which they may not all take.
std::string engines_text(const study::StudyPlan& plan) {
  std::string text;
  std::set<std::vector<std::string>> said;
  for (const auto& one : plan.configurations) {
    if (one.engine.empty()) continue;
    auto words = one.engine;
    words.insert(words.end(), one.arguments.begin(), one.arguments.end());
    if (said.insert(words).second)
      text += fmt::format("  {}: {} --output {}\n", one.name, runner::shell_text(words),
                          one.output.filename().string());
  }
  return text.empty() ? text : "\nother engines' commands, with the run's flags\n" + text;
}

}  // namespace

void add_study_options(Arguments& known, StudyFlags& flags) {
  known.option("output", flags.output, "DIR", "records, logs, status.json, report (default out/NAME)")
      .flag("dry-run", flags.dry_run, "print the plan and end")
      .flag("no-run", flags.no_run, "start nothing: compare and report what is there")
      .option("only", flags.only, "NAME,…", "run these and what they follow")
      .option("jobs", flags.jobs, "N", "single-device runs at once, on different GPUs or cores (default 1)")
      .option("device", flags.device, "cpu|cuda", "default: GPUs where there are any")
      .option("devices", flags.devices, "N", "ranks that may run at once (default: all GPUs, or cores)")
      .option("collective-profile", flags.collective_profiles, "FILE",
              "a profile, or a folder of them, for predictions; before the shipped ones; may be repeated")
      .option("worker", flags.worker, "PATH", "shardrift-run (default: beside this program)")
      .option("launcher", flags.launcher, "TEXT",
              "starts the worker, e.g. \"srun -n {ranks}\" (default: mpirun -n {ranks} for several ranks)")
      .flag("rerun-changed", flags.rerun_changed,
            "make records again whose settings, model or prompts changed");
}

std::string plan_text(const study::Study& study, const study::StudyPlan& plan,
                      const runner::RunnerOptions& options, double free_bytes) {
  std::string text = fmt::format("study {}", study.name);
  if (!study.question.empty()) text += ": " + study.question;
  text += fmt::format("\nmachine: {}{}\noutput:  {}\n\n", options.machine.why,
                      options.launcher.worker.empty() ? "" : "; worker " + options.launcher.worker.string(),
                      options.output.string());
  const auto earlier = runner::read_status(options.output);
  const auto names = study::chosen_names(plan, options.only);
  const std::set<std::string> chosen(names.begin(), names.end());
  TextColumns table({{"run", Align::left},
                     {"plan", Align::left},
                     {"ranks", Align::right},
                     {"prompts", Align::right},
                     {"about", Align::right},
                     {"memory", Align::right},
                     {"disk", Align::right},
                     {"state", Align::left}});
  std::vector<runner::RunTime> times;
  double disk = 0;
  double largest = 0;
  int predicted = 0;
  for (const auto& one : plan.configurations) {
    const auto* run = earlier_run(earlier, one);
    const bool is_chosen = chosen.contains(one.name);
    const bool done = run != nullptr && run->state == runner::RunState::done;
    if (one.predicted) ++predicted;
    table.add({one.name, one.predicted ? one.asked + " (predicted)" : one.plan, std::to_string(one.ranks),
               one.prompts > 0 ? std::to_string(one.prompts) : "-", duration_text(one.estimated_seconds),
               bytes_text(static_cast<double>(one.estimated_memory)),
               bytes_text(static_cast<double>(one.estimated_bytes)),
               is_chosen ? state_text(run) : "left out"});
    if (done)
      times.push_back({.estimated = one.estimated_seconds,
                       .elapsed = run->seconds,
                       .fraction = 1,
                       .done = true,
                       .alone = one.ranks > 1});
    if (done || !is_chosen) continue;
    times.push_back({.estimated = one.estimated_seconds, .alone = one.ranks > 1});
    disk += static_cast<double>(one.estimated_bytes);
    largest = std::max(largest, static_cast<double>(one.estimated_memory));
  }
  text += table.str();
  if (const auto batch = common_batch(plan); !batch.empty())
    text += fmt::format("\nevery run decodes {} prompts at a time (--batch {})\n", batch, batch);
  if (predicted > 0) {
    text += "\npredicted: fewer devices compute, bit for bit, what the plan's would\n";
    for (const auto& one : plan.configurations)
      if (one.predicted) text += fmt::format("  {}: {}: {}\n", one.name, one.plan, one.prediction);
  }
  text += engines_text(plan);
  if (!plan.not_possible.empty()) {
    text += "\nnot possible here\n";
    for (const auto& one : plan.not_possible) text += fmt::format("  {}: {}\n", one.name, one.reason);
  }
  const bool nothing = std::all_of(times.begin(), times.end(), [](const auto& one) { return one.done; });
  if (nothing) return text + "\nnothing to run: every run is done\n";
  const auto left = runner::time_left(times, options.jobs);
  text += fmt::format(
      "\nto do: {} ({}), up to {} on disk{}\n",
      left.measured ? fmt::format("{} to {}", duration_text(left.low), duration_text(left.high))
                    : "about " + duration_text(left.high),
      left.measured
          ? fmt::format("stated rates times {:.2g}, as the finished runs took", runner::correction(times))
          : "at stated rates, not measured on this machine",
      bytes_text(disk), free_bytes < 0 ? "" : fmt::format(" ({} free)", bytes_text(free_bytes)));
  const auto memory = static_cast<double>(options.machine.machine.device_memory);
  if (memory > 0 && largest > memory)
    text += fmt::format("warning: a device has {}, the largest run needs about {}\n", bytes_text(memory),
                        bytes_text(largest));
  if (free_bytes >= 0 && disk > free_bytes)
    text +=
        "warning: the disk may fill up; what is finished then stays, and the study goes on when there is "
        "room\n";
  return text;
}

ExitCode run_study(const std::function<study::Study(const study::Machine&)>& make, const StudyFlags& flags) {
  if (flags.jobs < 1 || flags.jobs > 1024) throw usage_error("--jobs {}: use 1 to 1024", flags.jobs);
  if (flags.devices < 0) throw usage_error("--devices {}: must be at least 1", flags.devices);
  if (flags.device != "auto" && flags.device != "cpu" && flags.device != "cuda")
    throw usage_error("--device {}: use cpu or cuda", flags.device);
  runner::RunnerOptions options;
  // Records of another machine (shardrift submit's) are planned as they were there, without looking at this
  // one.
  const bool elsewhere = flags.no_run && flags.device != "auto" && flags.devices > 0;
  if (!elsewhere) options.launcher.worker = runner::find_worker(flags.worker);
  if (!flags.launcher.empty()) options.launcher.words = runner::launcher_words(flags.launcher);
  options.machine = elsewhere
                        ? runner::unseen_machine({flags.device, flags.devices})
                        : runner::detect_machine({flags.device, flags.devices}, options.launcher.worker);
  const auto study = make(options.machine.machine);
  options.output =
      fs::absolute(flags.output.empty() ? fs::path("out") / study.name : flags.output).lexically_normal();
  runner::refuse_long_folder(options.output);
  options.jobs = flags.jobs;
  if (options.machine.machine.device == "cuda" && options.jobs > options.machine.machine.devices)
    throw usage_error("--jobs {}: here {} {}", options.jobs,
                      options.machine.machine.devices == 1 ? "is" : "are",
                      counted(options.machine.machine.devices, "GPU"));
  options.only = listed_names("--only", flags.only);
  options.rerun_changed = flags.rerun_changed;
  options.start_nothing = flags.no_run;

  study::PlanOptions planning;
  planning.output = options.output;
  for (const auto& given : flags.collective_profiles) {
    if (!fs::exists(given)) throw usage_error("--collective-profile {}: no such file or folder", given);
    planning.collective_profiles.push_back(fs::absolute(given));
  }
  for (auto& folder : study::shipped_profile_folders()) planning.collective_profiles.push_back(folder);
  const auto plan = study::plan_study(study, options.machine.machine, planning);
  if (plan.configurations.empty()) throw usage_error("{}: nothing of it can run here", study.name);
  ProgressLine line(ProgressLine::Logs::none);
  if (!flags.no_run)
    runner::require_engines(study, plan, names_to_do(plan, options), options.launcher,
                            {.say = [&](const std::string& text) { line.say(text); }});
  print(plan_text(study, plan, options, free_bytes_at(options.output)));
  if (flags.dry_run) return ExitCode::ok;

  print("\n");
  const auto status = runner::run_study(study, plan, options, line);
  const bool interrupted = status.state == "interrupted" && !flags.no_run;
  const bool whole =
      !status.at_once && conclude_study(study, plan, status, options.only, options.output, line);
  if (interrupted) {
    line.say("interrupted: the same command goes on from here");
    return ExitCode::interrupted;
  }
  if (status.state == "failed" && !flags.no_run) return ExitCode::failure;
  return whole ? ExitCode::ok : ExitCode::inconclusive;
}

}  // namespace shardrift::cli
