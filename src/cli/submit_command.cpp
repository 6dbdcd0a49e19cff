// shardrift submit FILE
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/study_overrides.hpp"
#include "common/durable_file.hpp"
#include "common/listed_names.hpp"
#include "common/text.hpp"
#include "common/text_columns.hpp"
#include "common/utc_clock.hpp"
#include "experiments/runner/changes.hpp"
#include "experiments/runner/detect_machine.hpp"
#include "experiments/runner/launch.hpp"
#include "experiments/runner/progress.hpp"
#include "experiments/runner/status.hpp"
#include "experiments/study/profiles.hpp"
#include "slurm/batch_script.hpp"
#include "slurm/submit.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHelp = R"(usage: shardrift submit FILE.toml [--profile NAME|FILE] [options]

Hands a study to Slurm: one array task for every run, runs of the same size in one
array, and a job that analyses what was recorded, whatever became of the runs.
Runs stop before their time limit, keep what they have and are requeued. What is
finished already is not submitted: after a failure, submit again.

  shardrift submit experiments/studies/scale-out.toml --profile ./mysite.toml --dry-run
  shardrift submit experiments/studies/scale-out.toml --profile ./mysite.toml
  shardrift status out/scale-out
  shardrift cancel out/scale-out

A site profile says how your cluster wants to be asked: start from a copy of
slurm/profiles/generic.toml, which explains every key. Scripts, logs and states
lie in DIR/slurm. docs/slurm.md leads from a clone to the report.

)";

// As many devices as any entry may have ranks: a cluster is asked for what a run needs, nothing is predicted.
constexpr int kClusterDevices = 1024;

struct Flags {
  std::vector<std::string> files;
  std::string profile = "generic";
  fs::path output;
  std::string only;
  std::string device = "auto";
  fs::path worker;
  OverrideFlags overrides;
  bool dry_run = false;
};

// False: --help was shown.
bool read_flags(const std::vector<std::string>& arguments, Flags& flags) {
  Arguments known("submit", kHelp);
  known.files(flags.files, 1)
      .option("profile", flags.profile, "NAME|FILE",
              "site profile: a shipped one by name, or a file (default generic)")
      .option("output", flags.output, "DIR",
              "records, scripts, logs, report; on a disk that all nodes see (default out/NAME)")
      .flag("dry-run", flags.dry_run, "print the jobs and their scripts, submit nothing")
      .option("only", flags.only, "NAME,…", "these runs and what they follow")
      .option("device", flags.device, "cpu|cuda", "default: GPUs, unless the profile has gpus = \"none\"")
      .option("worker", flags.worker, "PATH",
              "shardrift-run (default: the profile's, else beside this program)");
  add_override_options(known, flags.overrides);
  known.foot(fmt::format(
      "\nshipped profiles: {}\nexit code: 0 submitted, 64 the study or the cluster cannot, 65 a bad "
      "file, 70 Slurm does not answer\n",
      fmt::join(slurm::shipped_site_profiles(), ", ")));
  return known.read(arguments);
}

std::string device_for(const Flags& flags, const slurm::SiteProfile& profile) {
  if (flags.device == "cpu" || flags.device == "cuda") return flags.device;
  if (flags.device != "auto") throw usage_error("--device {}: use cpu or cuda", flags.device);
  return profile.gpus == slurm::GpuRequest::none ? "cpu" : "cuda";
}

study::StudyPlan plan_for_cluster(const study::Study& study, const std::string& device,
                                  const fs::path& output) {
  study::PlanOptions options;
  options.output = output;
  options.collective_profiles = study::shipped_profile_folders();
  auto plan = study::plan_study(study, runner::unseen_machine({device, kClusterDevices}).machine, options);
  // The jobs' scripts start runs of shardrift-run run only.
  const auto left_out = [](const study::Configuration& one) {
    return one.role == study::Role::probe || !one.engine.empty();
  };
  for (const auto& one : plan.configurations)
    if (left_out(one))
      plan.not_possible.push_back({one.name,
                                   fmt::format("{}: shardrift study runs it, inside an allocation",
                                               one.engine.empty() ? "a probe" : "another engine's run"),
                                   one.line});
  std::erase_if(plan.configurations, left_out);
  for (const auto& one : plan.not_possible)
    print(fmt::format("not possible: {}: {}\n", one.name, one.reason));
  if (plan.configurations.empty()) throw usage_error("{}: nothing of it can run", study.name);
  return plan;
}

void refuse_changes(const std::optional<runner::StudyStatus>& earlier, const study::Study& study,
                    const study::StudyPlan& plan, const fs::path& output) {
  if (!earlier) return;
  if (earlier->name != study.name)
    throw usage_error("{}: holds the study '{}', not '{}': use another --output", output.string(),
                      earlier->name, study.name);
  const auto changed = runner::changed_since(*earlier, plan);
  if (changed.empty()) return;
  throw usage_error("{}: record {} was made otherwise ({}): delete it, or use another --output",
                    output.string(), changed.front().name, changed.front().what);
}

// The chosen runs: those whose record is complete and about which nothing has changed since, and the others.
struct Split {
  std::vector<study::Configuration> chosen;
  std::vector<study::Configuration> missing;  // of the chosen
  std::set<std::string> finished;             // of the chosen
  bool is_missing(const std::string& name) const {
    return std::any_of(missing.begin(), missing.end(), [&](const auto& one) { return one.name == name; });
  }
};

Split split(const study::StudyPlan& plan, const std::vector<std::string>& only,
            const std::optional<runner::StudyStatus>& earlier) {
  const auto names = study::chosen_names(plan, only);
  Split parts;
  for (const auto& one : plan.configurations) {
    if (std::find(names.begin(), names.end(), one.name) == names.end()) continue;
    parts.chosen.push_back(one);
    const auto* run = earlier ? earlier->find(one.name) : nullptr;
    if (run != nullptr && run->fingerprint == one.fingerprint && runner::is_record_of(one))
      parts.finished.insert(one.name);
    else
      parts.missing.push_back(one);
  }
  return parts;
}

// The study's own status, of all its runs: what is submitted now waits, of the others what was known stays.
runner::StudyStatus status_for(const study::Study& study, const study::StudyPlan& plan, const Split& split,
                               const std::optional<runner::StudyStatus>& earlier, const fs::path& output) {
  runner::StudyStatus status;
  status.study = study.file;
  status.name = study.name;
  status.question = study.question;
  status.started = utc_now();
  status.updated = status.started;
  status.state = "submitted";
  status.machine = "Slurm";
  status.not_possible = plan.not_possible;
  for (const auto& one : plan.configurations) {
    auto run = runner::status_of(one, output);
    run.log = output / "slurm" / "logs" / (one.name + ".log");
    const auto* before = earlier ? earlier->find(one.name) : nullptr;
    if (before != nullptr && before->fingerprint == one.fingerprint && !split.is_missing(one.name))
      run = *before;
    if (split.finished.contains(one.name)) run.state = runner::RunState::done;
    status.runs.push_back(run);
  }
  return status;
}

std::string plan_text(const slurm::JobPlan& plan, const slurm::SiteProfile& profile,
                      const std::set<std::string>& finished) {
  TextColumns table({{"job", Align::left},
                     {"task", Align::right},
                     {"run", Align::left},
                     {"plan", Align::left},
                     {"nodes", Align::right},
                     {"ranks", Align::right},
                     {"about", Align::right},
                     {"disk", Align::right},
                     {"after", Align::left}});
  for (const auto& array : plan.arrays)
    for (std::size_t i = 0; i < array.tasks.size(); ++i) {
      const auto& one = array.tasks[i];
      table.add({i == 0 ? array.name : "", std::to_string(i), one.name, one.plan, std::to_string(array.nodes),
                 std::to_string(array.ranks), runner::duration_text(one.estimated_seconds),
                 bytes_text(static_cast<double>(one.estimated_bytes)),
                 fmt::format("{}", fmt::join(array.after, " "))});
    }
  table.add({"analysis", "", "", "", "1", "1", "", "", "all of them, however they end"});
  std::string text = fmt::format("study {}, site profile {}\noutput: {}\n\n{}", plan.study, profile.name,
                                 plan.output.string(), table.str());
  if (!finished.empty()) text += fmt::format("\ndone already: {}\n", fmt::join(finished, ", "));
  return text;
}

std::string scripts_text(const slurm::JobPlan& plan, const slurm::SiteProfile& profile) {
  std::string text;
  const auto add = [&](const std::string& name, const std::string& script) {
    text += fmt::format("\n==> {} <==\n{}", (plan.folder / name).string(), script);
  };
  for (const auto& array : plan.arrays)
    add(array.name + ".sbatch", slurm::array_script(plan, array, profile));
  add("analysis.sbatch", slurm::analysis_script(plan, profile));
  text += "\n";
  for (const auto& call : slurm::sbatch_calls(plan)) {
    text += "sbatch " + call.script;
    if (!call.after.empty())
      text += fmt::format("   # after {}: {}", call.is_analysis ? "the end of" : "success of",
                          fmt::join(call.after, ", "));
    text += "\n";
  }
  return text;
}

}  // namespace

ExitCode submit(const std::vector<std::string>& arguments) {
  Flags flags;
  if (!read_flags(arguments, flags)) return ExitCode::ok;
  if (flags.files.empty()) throw usage_error("submit: needs a file: shardrift submit FILE.toml");
  const auto profile = slurm::load_site_profile(flags.profile);
  const auto study = study::load_study(flags.files.front(), overrides_of(flags.overrides));
  const auto output =
      fs::absolute(flags.output.empty() ? fs::path("out") / study.name : flags.output).lexically_normal();
  runner::refuse_long_folder(output);
  const auto device = device_for(flags, profile);
  const auto whole = plan_for_cluster(study, device, output);
  const auto earlier = runner::read_status(output);
  refuse_changes(earlier, study, whole, output);
  const auto parts = split(whole, listed_names("--only", flags.only), earlier);

  slurm::JobPlan plan;
  plan.study = study.name;
  plan.file = study.file;
  plan.output = output;
  plan.folder = output / "slurm";
  plan.directory = fs::current_path();
  plan.worker = runner::find_worker(!flags.worker.empty() ? flags.worker : profile.worker);
  plan.program = fs::read_symlink("/proc/self/exe");
  plan.study_options = words_of(flags.overrides);
  plan.study_options.insert(plan.study_options.end(),
                            {"--device", device, "--devices", std::to_string(kClusterDevices)});
  plan = slurm::plan_jobs(plan, parts.missing, profile);

  print(plan_text(plan, profile, parts.finished));
  if (flags.dry_run) {
    print(scripts_text(plan, profile));
    return ExitCode::ok;
  }
  slurm::refuse_second_submission(output);
  slurm::write_scripts(plan, profile);
  if (!study.text.empty()) write_text_durably(output / "study.toml", study.text);
  runner::write_status(status_for(study, whole, parts, earlier, output), output);
  const auto submission = slurm::hand_over(plan, profile, parts.chosen, utc_now());
  std::string jobs;
  for (const auto& job : submission.jobs) jobs += fmt::format("  {} {}\n", job.id, job.name);
  print(fmt::format("\nsubmitted:\n{}shardrift status {}\n", jobs, output.string()));
  return ExitCode::ok;
}

}  // namespace shardrift::cli
