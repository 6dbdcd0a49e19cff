#include "analysis/report/make_report.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "analysis/report/explained.hpp"
#include "analysis/report/token_story.hpp"
#include "common/durable_file.hpp"
#include "common/utc_clock.hpp"

namespace shardrift::report {
namespace {

using analysis::Measurement;

void add_runs(Report& report, std::vector<Measurement>&& measurements, Role role,
              const statistics::BootstrapOptions& options) {
  for (auto& measurement : measurements) {
    Run run;
    run.role = role;
    const std::size_t place = report.runs.size();
    run.statistics = role == Role::candidate ? report.verdict->candidates[place].statistics
                                             : statistics::statistics_of(measurement, options);
    run.measurement = std::move(measurement);
    report.runs.push_back(std::move(run));
  }
}

void add_notes(Report& report) {
  const auto partial = [&](const analysis::RunSummary& run) {
    if (!run.complete)
      report.notes.push_back(
          fmt::format("{} is partial: {} of its prompts were there.", run.name, run.prompts));
  };
  partial(report.runs.front().measurement.reference);
  for (const auto& run : report.runs) partial(run.measurement.candidate);
}

}  // namespace

Excerpt excerpt_of(const record::Reader& reference, const record::Reader& candidate,
                   const Measurement& measurement) {
  return {measurement.candidate.path, token_stories(measurement, reference, candidate),
          growth_through_layers(reference, candidate)};
}

Report make_report(verdict::Evidence evidence, verdict::Verdict verdict, std::vector<Excerpt> excerpts) {
  Report report;
  report.version = SHARDRIFT_VERSION;
  report.created = utc_now();
  report.verdict = std::move(verdict);
  const auto bootstrap = report.verdict->thresholds.bootstrap;
  add_runs(report, std::move(evidence.candidates), Role::candidate, bootstrap);
  add_runs(report, std::move(evidence.repeats), Role::noise_floor, bootstrap);
  add_runs(report, std::move(evidence.yardsticks), Role::yardstick, bootstrap);
  add_notes(report);
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    const auto& path = report.runs[run].measurement.candidate.path;
    const auto excerpt =
        std::find_if(excerpts.begin(), excerpts.end(), [&](const Excerpt& one) { return one.path == path; });
    if (excerpt == excerpts.end()) continue;
    for (const auto& table : excerpt->tokens) report.tokens.push_back({run, table});
    if (!excerpt->layers.empty()) report.growth.push_back({run, excerpt->layers});
  }
  return report;
}

Report make_report(std::vector<Measurement> candidates, std::vector<Excerpt> excerpts) {
  verdict::Evidence evidence;
  evidence.candidates = std::move(candidates);
  auto verdict = verdict::judge(evidence, verdict::preset("serving"));
  return make_report(std::move(evidence), std::move(verdict), std::move(excerpts));
}

void write_page(const Report& report, const std::filesystem::path& output) {
  write_text_durably(output, to_html(report));
}

}  // namespace shardrift::report
