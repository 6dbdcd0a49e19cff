// shardrift report REF CAND… --output FILE.html
#include <fstream>

#include "analysis/report/explained.hpp"
#include "analysis/report/make_report.hpp"
#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/evidence_flags.hpp"
#include "common/counted.hpp"
#include "common/output_file.hpp"

namespace shardrift::cli {
namespace {

constexpr const char* kHelp = R"(usage: shardrift report REF CAND... --output FILE.html [options]

Writes one HTML page that opens offline in any browser: the answer first, then
the configurations in one table, and plots: how long answers stay the same, how
far logits are apart and where, why tokens flip, in which order the collective
adds, the tokens side by side, and what differs between the machines.
REF and CAND are files of shardrift-run (OUT.h5), or the OUT.h5.parts of a run
that has not finished. Metrics that compare or gate kept beside them are used.

  shardrift report one.h5 tp2.h5 tp4.h5 pp2.h5 --output report.html
  shardrift report one.h5 tp4.h5 --noise-floor again.h5 --yardstick int8.h5 \
      --truth float64.h5 --title "Can we go to four GPUs?" --output report.html

Limits are those of shardrift gate. docs/report.md tells how to read the page.
exit code: 0 written, 64 usage, 65 a file that cannot be used, 70 failure
)";

// What is easily given in place of a ladder's JSON: a rung.
void refuse_records(const std::vector<std::string>& ladders) {
  for (const auto& path : ladders) {
    std::string start(4, ' ');
    if (std::ifstream(path, std::ios::binary).read(start.data(), 4) && start == "\x89HDF")
      throw usage_error(
          "report: --ladder {}: is a record: give the JSON that shardrift explain --ladder … --json FILE "
          "wrote of the "
          "records",
          path);
  }
}

}  // namespace

ExitCode report(const std::vector<std::string>& arguments) {
  EvidenceFlags flags;
  std::vector<std::string> ladders;
  std::string title;
  std::string output;
  Arguments known("report", kHelp);
  known.option("output,o", output, "FILE.html", "to write, replaced if it is there")
      .option("title", title, "TEXT", "the heading");
  add_evidence_options(known, flags);
  known.option("ladder", ladders, "FILE",
               "what shardrift explain --run … --json wrote of a candidate; may be repeated");
  if (!known.read(arguments)) return ExitCode::ok;
  if (flags.files.size() < 2)
    throw usage_error(
        "report: needs a reference and at least one candidate: shardrift report REF.h5 CAND.h5 --output "
        "FILE.html");
  if (output.empty()) throw usage_error("report: --output FILE.html is missing");
  refuse_records(ladders);
  const auto thresholds = thresholds_of("report", flags);
  auto inputs = read_by(flags);
  inputs.insert(inputs.end(), ladders.begin(), ladders.end());
  OutputFile file("--output", output, inputs);
  auto gathered = gather(flags, true, true);
  auto verdict = verdict::judge(gathered.evidence, thresholds);
  const std::string answer = verdict.answer;
  auto page =
      report::make_report(std::move(gathered.evidence), std::move(verdict), std::move(gathered.excerpts));
  for (const auto& ladder : ladders) page.ladders.push_back(report::read_ladder(ladder, page.runs));
  page.title = title;
  page.command = command_line("report", arguments);
  const std::string html = report::to_html(page);
  file.stream() << html;
  file.close();
  print(fmt::format("{}\n{}: {} against {}, {:.0f} KiB\n", answer, output, counted(page.runs.size(), "run"),
                    page.runs.front().measurement.reference.name, static_cast<double>(html.size()) / 1024));
  return ExitCode::ok;
}

}  // namespace shardrift::cli
