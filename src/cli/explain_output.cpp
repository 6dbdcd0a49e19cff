#include "cli/explain_output.hpp"

#include "analysis/explain/explain_presenters.hpp"
#include "analysis/explain/explain_runs.hpp"
#include "analysis/measure/measure.hpp"
#include "analysis/report/explained.hpp"
#include "analysis/report/make_report.hpp"
#include "cli/commands.hpp"

namespace shardrift::cli {

ExplainOutput::ExplainOutput(const ExplainFiles& files, std::string command,
                             const std::vector<std::string>& read)
    : json_("--json", files.json, read),
      csv_("--csv", files.csv, read),
      html_("--html", files.html, read),
      command_(std::move(command)) {}

void ExplainOutput::show_pair(const std::string& reference, const std::string& candidate) {
  const auto r = record::Reader::open(reference);
  const auto c = record::Reader::open(candidate);
  auto measurement = analysis::measure(r, c, {.say = note});
  const auto explanation = analysis::explain_runs(r, c, measurement);
  print(analysis::explanation_text(explanation));
  if (json_.wanted()) json_.stream() << analysis::explanation_json(explanation);
  if (csv_.wanted()) analysis::write_csv(csv_.stream(), explanation);
  json_.close();
  csv_.close();
  if (html_.wanted()) html_.stream() << report::to_html(page_of(r, c, std::move(measurement)));
  html_.close();
}

report::Report ExplainOutput::page_of(const record::Reader& reference, const record::Reader& candidate,
                                      analysis::Measurement measurement) const {
  std::vector<report::Excerpt> excerpts{report::excerpt_of(reference, candidate, measurement)};
  std::vector<analysis::Measurement> measurements;
  measurements.push_back(std::move(measurement));
  auto page = report::make_report(std::move(measurements), std::move(excerpts));
  page.command = command_;
  return page;
}

ExitCode ExplainOutput::show_ladder(const std::vector<analysis::RungFile>& rungs) {
  const auto ladder = analysis::measure_ladder(rungs, repeats_);
  print(analysis::ladder_text(ladder));
  if (json_.wanted()) json_.stream() << analysis::ladder_json(ladder);
  if (csv_.wanted()) analysis::write_csv(csv_.stream(), ladder);
  json_.close();
  csv_.close();
  if (html_.wanted()) {
    const auto first = record::Reader::open(rungs.front().path);
    const auto last = record::Reader::open(rungs.back().path);
    auto page = page_of(first, last, analysis::measure(first, last, {.say = note}));
    page.ladders.push_back(report::drawn(ladder, 0));
    html_.stream() << report::to_html(page);
  }
  html_.close();
  const auto* residue = ladder.residue();
  return residue != nullptr && residue->bits > 0 ? ExitCode::beyond_tolerance : ExitCode::ok;
}

}  // namespace shardrift::cli
