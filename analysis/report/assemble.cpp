#include "analysis/report/assemble.hpp"

#include <fmt/chrono.h>

#include <chrono>

#include "analysis/measure/measurement_of.hpp"
#include "analysis/report/explained.hpp"
#include "analysis/report/token_story.hpp"
#include "common/durable_file.hpp"

namespace shardrift::report {
namespace {

using analysis::Measurement;

class Measuring {
 public:
  explicit Measuring(const Request& request) : reference_(request.files.reference) {
    options_.say = request.say;
  }

  Measurement against_reference(const File& file) const {
    Measurement measurement = analysis::measurement_of(reference_.path, file.path, options_);
    if (!reference_.name.empty()) measurement.reference.name = reference_.name;
    if (!file.name.empty()) measurement.candidate.name = file.name;
    return measurement;
  }
  std::vector<Measurement> against_reference(const std::vector<File>& files) const {
    std::vector<Measurement> measurements;
    measurements.reserve(files.size());
    for (const auto& file : files) measurements.push_back(against_reference(file));
    return measurements;
  }
  Measurement against(const std::string& truth, const std::string& file) const {
    return analysis::measurement_of(truth, file, options_);
  }

 private:
  File reference_;
  analysis::MeasureOptions options_;
};

verdict::Evidence evidence_of(const Request& request) {
  const Measuring measuring(request);
  const Files& files = request.files;
  verdict::Evidence evidence;
  evidence.candidates = measuring.against_reference(files.candidates);
  evidence.repeats = measuring.against_reference(files.noise_floor);
  evidence.yardsticks = measuring.against_reference(files.yardsticks);
  if (!files.truth.empty()) {
    evidence.truth_reference = measuring.against(files.truth, files.reference.path);
    for (const auto& file : files.candidates)
      evidence.truth_candidates.push_back(measuring.against(files.truth, file.path));
  }
  return evidence;
}

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
  for (const auto& run : report.runs) {
    partial(run.measurement.candidate);
    if (!run.measurement.missing.empty())
      report.notes.push_back(fmt::format("{}: {} of the prompts are in one file only.",
                                         run.measurement.candidate.name, run.measurement.missing.size()));
  }
}

std::string now() {
  const auto time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(time));
}

}  // namespace

Report report_of(verdict::Evidence evidence, verdict::Verdict verdict) {
  Report report;
  report.version = SHARDRIFT_VERSION;
  report.created = now();
  report.verdict = std::move(verdict);
  const auto bootstrap = report.verdict->thresholds.bootstrap;
  add_runs(report, std::move(evidence.candidates), Role::candidate, bootstrap);
  add_runs(report, std::move(evidence.repeats), Role::noise_floor, bootstrap);
  add_runs(report, std::move(evidence.yardsticks), Role::yardstick, bootstrap);
  add_notes(report);
  const auto reference = record::Reader::open(report.runs.front().measurement.reference.path);
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    const auto& measurement = report.runs[run].measurement;
    const auto candidate = record::Reader::open(measurement.candidate.path);
    for (auto& table : token_stories(measurement, reference, candidate))
      report.tokens.push_back({run, std::move(table)});
    if (auto growth = growth_of(reference, candidate, run)) report.growth.push_back(std::move(*growth));
  }
  return report;
}

Report report_of(std::vector<Measurement> candidates) {
  verdict::Evidence evidence;
  evidence.candidates = std::move(candidates);
  auto verdict = verdict::judge(evidence, verdict::preset("serving"));
  return report_of(std::move(evidence), std::move(verdict));
}

Report assemble(const Request& request) {
  verdict::Evidence evidence = evidence_of(request);
  auto verdict = verdict::judge(evidence, request.thresholds);
  Report report = report_of(std::move(evidence), std::move(verdict));
  for (const auto& ladder : request.files.ladders) report.ladders.push_back(read_ladder(ladder, report.runs));
  report.title = request.title;
  report.command = request.command;
  return report;
}

std::size_t write_page(const Report& report, const std::filesystem::path& output) {
  const std::string html = to_html(report);
  write_text_durably(output, html);
  return html.size();
}

}  // namespace shardrift::report
