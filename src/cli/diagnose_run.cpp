#include "cli/diagnose_run.hpp"

#include <algorithm>

#include "analysis/measure/run_summary.hpp"
#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

// The plan of a record; of another program's, one device in its dtype.
Plan plan_of(const record::Reader& run) {
  try {
    return plan_from_json(run.run().plan);
  } catch (const Error&) {
    Plan plan;
    if (run.run().model.dtype.empty())
      throw usage_error(
          "{}: does not say in which dtype it was computed, in which it is computed again here: write it as "
          "the attribute dtype of its group /model (\"bfloat16\"), or import it again with --dtype",
          run.path().string());
    plan.dtype = named<DType>(run.path().string() + ": /model dtype", run.run().model.dtype);
    plan.logits_dtype = storage_of(plan.dtype);
    return plan;
  }
}

// The order in which the candidate's collective was seen to add, or is said to; empty: not known.
fs::path profile_of(const record::Reader& candidate, const Plan& plan, const DiagnoseRunFlags& flags,
                    const fs::path& folder) {
  if (!flags.profile.empty()) return full_path(flags.profile);
  if (!analysis::wants_profile(plan)) return {};
  return recorded_order(candidate, folder);
}

bool has_routes(const record::Reader& run) {
  const auto ids = run.prompt_ids();
  return !ids.empty() && !run.prompt(ids.front()).routes.empty();
}

// What all runs are given: the candidate's tokens, and of a mixture its routes, so that they differ by
// arithmetic alone.
study::Settings common_settings(const record::Reader& candidate, const DiagnoseRunFlags& flags,
                                const fs::path& folder) {
  study::Settings common;
  common["model"] = value_of_flag(full_path(flags.model));
  feed_as(candidate, folder, common);
  common["record"] = value_of_flag("hidden");
  common["sketches"] = switched_on();
  if (has_routes(candidate)) common["replay-routes"] = value_of_flag(full_path(candidate.path()));
  return common;
}

study::Study study_of(const std::vector<analysis::DiagnosisRun>& runs, const study::Settings& common,
                      const fs::path& profile) {
  study::Study study;
  study.name = "diagnose";
  study.question = "Noise or bug?";
  for (const auto& run : runs) {
    study::Entry entry;
    entry.name = run.name;
    entry.settings = common;
    for (const auto& [flag, setting] : settings_of(run.plan)) entry.settings[flag] = setting;
    if (run.plan.reduction.needs_profile())
      entry.settings["collective-profile"] = value_of_flag(profile.string());
    if (!study.entries.empty()) entry.compare_with = study.entries.front().name;
    entry.role = study.entries.empty() ? study::Role::reference : study::Role::candidate;
    study.entries.push_back(std::move(entry));
  }
  return study;
}

}  // namespace

void add_diagnose_run_options(Arguments& known, DiagnoseRunFlags& flags) {
  known.option("model", flags.model, "DIR", "Hugging Face directory, or a GGUF file, of both records")
      .option("collective-profile", flags.profile, "FILE",
              "the order of the candidate's collective (default: its record's own)")
      .option("device", flags.worker.device, "cpu|cuda",
              "of the runs that are made; default: a GPU where there is one")
      .option("output", flags.worker.output, "DIR",
              "their records and logs (default out/diagnose/NAME of the candidate)")
      .flag("rerun-changed", flags.worker.rerun_changed, "make records again whose settings changed")
      .option("worker", flags.worker.worker, "PATH", "shardrift-run (default: beside this program)");
}

MadeRuns make_diagnosis_runs(const record::Reader& reference, const record::Reader& candidate,
                             const DiagnoseRunFlags& flags) {
  MadeRuns made;
  WorkerFlags worker = flags.worker;
  if (worker.output.empty())
    worker.output = fs::path("out/diagnose") / analysis::name_of_run(candidate.path());
  const auto options = runner_options(worker);
  Plan of_candidate = plan_of(candidate);
  const auto here = named<Device>("--device", options.machine.machine.device);
  const auto there = analysis::ran_on(candidate.run().environment);
  if (there && *there != here)
    made.notes.push_back(fmt::format("{} ran on {}, the runs made here on {}: their kernels differ too",
                                     candidate.path().string(), name_of(*there), name_of(here)));
  of_candidate.device = here;
  if (of_candidate.dtype == DType::tf32 && here == Device::cpu)
    throw usage_error("{}: is of tf32, which CPUs do not have: diagnose it on a machine with a GPU",
                      candidate.path().string());
  const fs::path profile = profile_of(candidate, of_candidate, flags, options.output);
  if (profile.empty() && analysis::wants_profile(of_candidate))
    made.notes.push_back(
        fmt::format("{} does not say in which order its ranks were added: in shard order here",
                    candidate.path().string()));
  const auto runs = analysis::diagnosis_runs(plan_of(reference), of_candidate, !profile.empty());
  const auto ran =
      run_in(study_of(runs, common_settings(candidate, flags, options.output), profile), options, "run");
  if (!ran) {
    made.interrupted = true;
    return made;
  }
  for (const auto& configuration : *ran) {
    const auto run = std::find_if(runs.begin(), runs.end(),
                                  [&](const auto& one) { return one.name == configuration.name; });
    made.files.push_back({*run, configuration.output});
  }
  return made;
}

}  // namespace shardrift::cli
