#include "cli/explain_output.hpp"

#include "analysis/explain/explain_csv.hpp"
#include "analysis/explain/explain_runs.hpp"
#include "analysis/report/assemble.hpp"
#include "analysis/report/explained.hpp"
#include "cli/commands.hpp"

namespace shardrift::cli {

ExplainOutput::ExplainOutput(const ExplainFiles& files, std::string command,
                             const std::vector<std::string>& read)
    : json_("--json", files.json, read),
      csv_("--csv", files.csv, read),
      html_(files.html),
      command_(std::move(command)) {
  refuse_input("--html", html_, read);
}

void ExplainOutput::show_pair(const std::string& reference, const std::string& candidate) {
  auto measurement = analysis::measurement_of(reference, candidate, {.say = note});
  const auto explanation = analysis::explain_runs(measurement);
  print(analysis::explanation_text(explanation));
  if (json_.wanted()) json_.stream() << analysis::explanation_json(explanation);
  if (csv_.wanted()) analysis::write_csv(csv_.stream(), explanation);
  json_.close();
  csv_.close();
  if (html_.empty()) return;
  auto page = report::report_of({std::move(measurement)});
  page.command = command_;
  report::write_page(page, html_);
}

ExitCode ExplainOutput::show_ladder(const std::vector<analysis::RungFile>& rungs) {
  const auto ladder = analysis::measure_ladder(rungs);
  print(analysis::ladder_text(ladder));
  if (json_.wanted()) json_.stream() << analysis::ladder_json(ladder);
  if (csv_.wanted()) analysis::write_csv(csv_.stream(), ladder);
  json_.close();
  csv_.close();
  if (!html_.empty()) {
    auto page =
        report::report_of({analysis::measurement_of(rungs.front().path, rungs.back().path, {.say = note})});
    page.ladders.push_back(report::drawn(ladder, 0));
    page.command = command_;
    report::write_page(page, html_);
  }
  const auto* residue = ladder.residue();
  return residue != nullptr && residue->bits > 0 ? ExitCode::beyond_tolerance : ExitCode::ok;
}

}  // namespace shardrift::cli
