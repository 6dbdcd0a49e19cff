// shardrift diagnose REF CAND --model DIR
#include <algorithm>

#include "analysis/diagnose/diagnosis_presenters.hpp"
#include "analysis/measure/measure_all_rows.hpp"
#include "cli/commands.hpp"
#include "cli/diagnose_run.hpp"
#include "common/input_files.hpp"
#include "common/output_file.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift diagnose REF CAND --model DIR [--repeat FILE...]
                           [--json FILE]

Is what CAND says otherwise than REF noise or a bug? One of:

  noise        every differing bit is explained: one device has the candidate's
               bits, or they drift no further than rounding drives them
  defect       the first operation and layer that differ by more than rounding
               can make, and the shards and ranks in which they do
  cannot tell  and what to record to know

Runs CAND's plan, REF's plan and the same tokens in other orders and kernels on
one device, and holds CAND against its plan's run, operation by operation; how
far the others are from it says what rounding makes. Record both with

  shardrift-run run … --sketches --record hidden

without which an operation or a shard cannot be named. Finished runs are kept
in --output and are not made again.

  shardrift diagnose one.h5 tp4.h5 --model DIR
  shardrift diagnose one.h5 engine.h5 --model DIR --repeat engine-again.h5

exit code: 0 noise, 1 defect, 2 cannot tell, 64 usage, 65 a file that cannot be
used, 70 failure, 75 interrupted (run it again)
)";

std::vector<std::string> read_files(const std::vector<std::string>& files,
                                    const std::vector<std::string>& repeats, const DiagnoseRunFlags& flags) {
  std::vector<std::string> read = files;
  read.insert(read.end(), repeats.begin(), repeats.end());
  read.push_back(flags.profile.string());
  if (!flags.worker.output.empty()) read.push_back(flags.worker.output.string());
  for (const auto& file : files_in(flags.model)) read.push_back(file);
  return read;
}

ExitCode code_of(analysis::Finding finding) {
  switch (finding) {
    case analysis::Finding::noise:
      return ExitCode::ok;
    case analysis::Finding::defect:
      return ExitCode::beyond_tolerance;
    default:
      return ExitCode::inconclusive;
  }
}

}  // namespace

ExitCode diagnose(const std::vector<std::string>& arguments) {
  std::vector<std::string> files;
  std::vector<std::string> repeats;
  std::string json;
  DiagnoseRunFlags flags;
  Arguments known("diagnose", kHelp);
  known.files(files, 2);
  add_diagnose_run_options(known, flags);
  known
      .option(
          "repeat", repeats, "FILE",
          "the candidate's configuration once more, of an engine whose bits change from run to run, judged "
          "as the candidate is; may be repeated")
      .option("json", json, "FILE", "write the same results as JSON");
  if (!known.read(arguments)) return ExitCode::ok;
  if (files.size() != 2)
    throw usage_error(
        "diagnose: needs a reference and a candidate: shardrift diagnose REF.h5 CAND.h5 --model DIR");
  if (flags.model.empty())
    throw usage_error("diagnose: --model DIR is needed: a Hugging Face directory or a GGUF file");
  OutputFile written("--json", json, read_files(files, repeats, flags));

  const auto reference = record::Reader::open(files[0]);
  const auto candidate = record::Reader::open(files[1]);
  analysis::require_same_vocabulary(reference, candidate);
  std::vector<record::Reader> opened_repeats;
  for (const auto& repeat : repeats) opened_repeats.push_back(record::Reader::open(repeat));
  const auto show = [&](const analysis::Diagnosis& diagnosis) {
    print(analysis::diagnosis_text(diagnosis));
    if (written.wanted()) written.stream() << analysis::diagnosis_json(diagnosis);
    written.close();
    return code_of(diagnosis.finding);
  };
  std::vector<const record::Reader*> of_repeats;
  for (const auto& repeat : opened_repeats) of_repeats.push_back(&repeat);
  analysis::require_repeats(candidate, of_repeats);
  if (const auto at_once = analysis::without_runs(reference, candidate)) return show(*at_once);
  for (const auto* run : {&reference, &candidate}) require_config_of(*run, flags.model);
  const auto runs = make_diagnosis_runs(reference, candidate, flags);
  if (runs.interrupted) return ExitCode::interrupted;
  for (const auto& text : runs.notes) note(text);
  std::vector<record::Reader> opened;
  for (const auto& file : runs.files) opened.push_back(record::Reader::open(file.path));
  std::vector<analysis::MadeRun> made;
  for (std::size_t i = 0; i < opened.size(); ++i) made.push_back({runs.files[i].run, &opened[i]});
  return show(analysis::diagnose(reference, candidate, made, of_repeats));
}

}  // namespace shardrift::cli
