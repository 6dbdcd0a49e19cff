// shardrift study FILE
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/study_overrides.hpp"
#include "cli/study_run.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift study FILE.toml [options]

From one file to a finished comparison: checks every run that the study asks for,
prints the plan with its cost, runs what is missing, compares, and reports.
Interrupted or killed, the same command goes on where it stopped; finished runs
are never repeated. One run that fails does not stop the others.

  shardrift study experiments/studies/scale-out.toml --dry-run
  shardrift study experiments/studies/scale-out.toml --jobs 4
  shardrift study mine.toml --model DIR --prompts FILE --set max-new-tokens=256
  shardrift study mine.toml --only reference,tp2

Plans with more ranks than this machine has devices are computed as shards on
fewer devices where the result has the same bits, and marked "predicted".
The file's keys: docs/studies.md

exit code: 0 all runs are done and compared, 2 one is not possible here or its
record cannot be used (--no-run: or is not there), 70 some failed, 75 interrupted
(run it again; the answer so far is shown), 64 usage, 65 a study that cannot be
)";

// [run]'s own device, where the command line leaves the choice.
std::string device_of(const study::Study& study) {
  std::string device;
  for (const auto& entry : study.entries) {
    const auto found = entry.settings.find("device");
    const std::string one = found == entry.settings.end() ? "auto" : found->second.text;
    if (device.empty()) device = one;
    if (device != one) return "auto";
  }
  return device == "cpu" || device == "cuda" ? device : "auto";
}

}  // namespace

ExitCode study(const std::vector<std::string>& arguments) {
  StudyFlags flags;
  OverrideFlags overrides;
  std::vector<std::string> files;
  Arguments known("study", kHelp);
  add_study_options(known.files(files, 1), flags);
  add_override_options(known, overrides);
  if (!known.read(arguments)) return ExitCode::ok;
  if (files.empty()) throw usage_error("study: needs a file: shardrift study FILE.toml");
  const auto loaded = study::load_study(files.front(), overrides_of(overrides));
  if (flags.device == "auto") flags.device = device_of(loaded);
  return run_study([&](const study::Machine&) -> study::Study { return loaded; }, flags);
}

}  // namespace shardrift::cli
