#include "analysis/report/assemble.hpp"

#include "analysis/measure/measure_runs.hpp"
#include "analysis/report/token_story.hpp"
#include "common/error.hpp"

namespace shardrift::report {
namespace {

std::string partial_note(const analysis::RunSummary& run) {
  return fmt::format("{} is partial: {} of its prompts were there.", run.name, run.prompts);
}

}  // namespace

Report assemble(const Files& files) {
  Report report;
  const auto reference = record::Reader::open(files.reference);
  const auto add = [&](const std::string& file, Role role) {
    const auto candidate = record::Reader::open(file);
    Run run;
    run.role = role;
    run.measurement = analysis::measure_runs(reference, candidate);
    run.statistics = statistics::statistics_of(run.measurement, {});
    const std::size_t place = report.runs.size();
    for (auto& table : token_stories(run.measurement, reference, candidate))
      report.tokens.push_back({place, std::move(table)});
    if (!run.measurement.candidate.complete) report.notes.push_back(partial_note(run.measurement.candidate));
    report.runs.push_back(std::move(run));
  };
  for (const auto& file : files.candidates) add(file, Role::candidate);
  for (const auto& file : files.noise_floor) add(file, Role::noise_floor);
  for (const auto& file : files.yardsticks) add(file, Role::yardstick);
  if (!files.truth.empty()) add(files.truth, Role::truth);
  if (!reference.complete()) report.notes.push_back(partial_note(report.runs.front().measurement.reference));
  return report;
}

}  // namespace shardrift::report
