// shardrift compare REF CAND…
#include <cmath>
#include <optional>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/measure.hpp"
#include "analysis/measure/totals.hpp"
#include "analysis/report/make_report.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "common/output_file.hpp"
#include "common/progress_line.hpp"
#include "common/text_columns.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift compare REF CAND... [options]

Compares each candidate run with the reference: bit for bit, in numbers, and
token by token. REF and CAND are files of shardrift-run (OUT.h5), or the
OUT.h5.parts of a run that has not finished. They may come from other machines,
plans, dtypes or checkpoints, as long as vocabulary and prompts are the same.

  shardrift compare one.h5 tp2.h5                    one candidate
  shardrift compare one.h5 tp2.h5 tp4.h5 pp4.h5      several, with a summary
  shardrift compare one.h5 tp2.h5 --prompt p3 --steps 40
  shardrift compare one.h5 tp2.h5 --json tp2.json    the same for a script
  shardrift compare one.h5 tp2.h5 --csv tp2.csv      every row's numbers
  shardrift compare one.h5 tp2.h5 --html tp2.html    a page with plots; shardrift
                                                     report has more to say there

What was measured is kept beside the candidate (tp2.vs.one.metrics, a small HDF5
file) and used again while neither record has changed.

exit code: 0 all bit-equal, or of other dtypes with the same numbers (or within --tolerance),
1 something differs (more than that), 2 no difference but a file is partial or holds
probabilities in place of logits, 64 usage, 65 a file that cannot be used, 70 failure
)";

struct Flags {
  std::vector<std::string> files;
  std::string json;
  std::string csv;
  std::string html;
  analysis::TableChoice table;
  std::vector<std::string> repeats;
  bool no_cache = false;
  std::optional<int> threads;
  std::optional<double> tolerance;
};

// False: --help was shown.
bool read_flags(const std::vector<std::string>& arguments, Flags& flags) {
  Arguments known("compare", kHelp);
  known.files(flags.files)
      .option("json", flags.json, "FILE", "write the same results as JSON")
      .option("csv", flags.csv, "FILE", "write every row's numbers, one line a candidate, prompt and step")
      .option("html", flags.html, "FILE", "write a page with plots, as shardrift report does")
      .option("prompt", flags.table.prompt, "ID",
              "show this prompt's tokens (default: the first that differs)")
      .option("steps", flags.table.steps, "N", "rows of the token table (default 12)")
      .option("repeat", flags.repeats, "FILE",
              "the candidate's configuration once more, of an engine whose bits change from run to run: what "
              "of the divergence exceeds that; may be repeated; with one candidate")
      .option(
          "tolerance", flags.tolerance, "D",
          "exit code 0 where the same tokens are chosen and no logit differs by more than D (default: "
          "where every bit is equal, or between dtypes every number); limits of other kinds: shardrift gate")
      .option("threads", flags.threads, "N", "default as many as there are cores; the numbers are the same")
      .flag("no-cache", flags.no_cache, "measure again, and keep nothing beside the candidate");
  if (!known.read(arguments)) return false;
  if (flags.threads && *flags.threads < 1)
    throw usage_error("--threads {}: must be at least 1", *flags.threads);
  if (flags.tolerance && (!std::isfinite(*flags.tolerance) || *flags.tolerance < 0))
    throw usage_error("--tolerance {}: a logit differs by 0 or more", *flags.tolerance);
  if (flags.table.steps < 1) throw usage_error("--steps {}: must be at least 1", flags.table.steps);
  if (flags.files.size() < 2)
    throw usage_error(
        "compare: needs a reference and at least one candidate: shardrift compare REF.h5 CAND.h5");
  if (!flags.repeats.empty() && flags.files.size() != 2)
    throw usage_error("compare: --repeat {}: of which of the {} candidates? give one", flags.repeats.front(),
                      flags.files.size() - 1);
  return true;
}

void write_html(std::ostream& file, const std::string& command,
                std::vector<analysis::Comparison>&& comparisons, std::vector<report::Excerpt>&& excerpts) {
  std::vector<analysis::Measurement> measurements;
  for (auto& comparison : comparisons) measurements.push_back(std::move(comparison.measurement));
  report::Report page = report::make_report(std::move(measurements), std::move(excerpts));
  page.command = command;
  file << report::to_html(page);
}

ExitCode outcome(const analysis::Measurement& measurement, const std::optional<double>& tolerance) {
  using analysis::Closeness;
  using analysis::Equality;
  if (!tolerance) {
    const auto equality = analysis::equality_of(measurement);
    return equality == Equality::bit_equal || equality == Equality::same_numbers ? ExitCode::ok
           : equality == Equality::differs                                       ? ExitCode::beyond_tolerance
                                                                                 : ExitCode::inconclusive;
  }
  const auto closeness = analysis::closeness_of(measurement, *tolerance);
  print(fmt::format("tolerance {:g}: {}\n", *tolerance,
                    closeness == Closeness::within ? "kept: the same tokens, no logit differs by more"
                    : closeness == Closeness::beyond
                        ? "not kept: a logit differs by more, or a token is another"
                        : "kept as far as there are rows to compare"));
  return closeness == Closeness::within   ? ExitCode::ok
         : closeness == Closeness::beyond ? ExitCode::beyond_tolerance
                                          : ExitCode::inconclusive;
}

analysis::Measurement measured(const record::Reader& reference, const record::Reader& candidate,
                               const Flags& flags) {
  ProgressLine line(ProgressLine::Logs::every_ten_seconds);
  analysis::MeasureOptions options;
  options.use_kept = options.keep = !flags.no_cache;
  options.say = note;
  options.threads = static_cast<unsigned>(flags.threads.value_or(0));
  options.progress = [&](double share) {
    line.show(fmt::format("{}: {:.0f} %", legible(candidate.path().string()), 100 * share));
  };
  return analysis::measure(reference, candidate, options);
}

std::optional<statistics::RunToRun> repeated(const record::Reader& candidate,
                                             const analysis::Measurement& measurement, const Flags& flags) {
  if (flags.repeats.empty()) return std::nullopt;
  std::vector<analysis::Measurement> measurements;
  for (const auto& file : flags.repeats)
    measurements.push_back(measured(candidate, record::Reader::open(file), flags));
  std::vector<const analysis::Measurement*> repeats;
  for (const auto& one : measurements) repeats.push_back(&one);
  return statistics::run_to_run(measurement, repeats);
}

}  // namespace

ExitCode compare(const std::vector<std::string>& arguments) {
  Flags wanted;
  if (!read_flags(arguments, wanted)) return ExitCode::ok;

  const auto reference = record::Reader::open(wanted.files.front());
  std::vector<std::string> read = wanted.files;
  read.insert(read.end(), wanted.repeats.begin(), wanted.repeats.end());
  OutputFile json("--json", wanted.json, read);
  OutputFile csv("--csv", wanted.csv, read);
  OutputFile html("--html", wanted.html, read);
  if (csv.wanted()) analysis::write_csv_head(csv.stream());
  print(analysis::head_text(reference));
  std::vector<analysis::Comparison> comparisons;
  std::vector<report::Excerpt> excerpts;
  ExitCode code = ExitCode::ok;
  for (std::size_t i = 1; i < wanted.files.size(); ++i) {
    const auto candidate = record::Reader::open(wanted.files[i]);
    analysis::Comparison comparison;
    comparison.measurement = measured(reference, candidate, wanted);
    comparison.table = analysis::token_table(reference, candidate, comparison.measurement, wanted.table);
    comparison.run_to_run = repeated(candidate, comparison.measurement, wanted);
    if (html.wanted()) excerpts.push_back(report::excerpt_of(reference, candidate, comparison.measurement));
    if (i > 1) print("\n");
    print(analysis::comparison_text(comparison));
    if (csv.wanted()) analysis::write_csv_rows(csv.stream(), comparison.measurement);
    const auto one = outcome(comparison.measurement, wanted.tolerance);
    if (one == ExitCode::beyond_tolerance || code == ExitCode::ok) code = one;
    comparisons.push_back(std::move(comparison));
  }
  if (comparisons.size() > 1) {
    print("\n");
    print(analysis::summary_text(comparisons));
  }
  if (json.wanted()) json.stream() << analysis::comparisons_json(reference, comparisons);
  json.close();
  csv.close();
  if (html.wanted())
    write_html(html.stream(), command_line("compare", arguments), std::move(comparisons),
               std::move(excerpts));
  html.close();
  return code;
}

}  // namespace shardrift::cli
