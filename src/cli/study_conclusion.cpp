// What a finished study ends with.
#include <map>

#include "analysis/measure/measure_runs.hpp"
#include "analysis/text/compare_report.hpp"
#include "cli/commands.hpp"
#include "cli/study_run.hpp"
#include "common/durable_file.hpp"
#include "record/reader.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

bool is_done(const runner::StudyStatus& status, const std::string& name) {
  const auto* run = status.find(name);
  return run != nullptr && run->state == runner::RunState::done;
}

}  // namespace

void conclude_study(const study::Study& study, const study::StudyPlan& plan,
                    const runner::StudyStatus& status, const fs::path& output, runner::Line& line) {
  // One table for each record that others are compared with, in the study's order.
  for (const auto& reference : plan.configurations) {
    if (!is_done(status, reference.name)) continue;
    std::vector<const study::Configuration*> others;
    for (const auto& one : plan.configurations)
      if (one.compare_with == reference.name && is_done(status, one.name)) others.push_back(&one);
    if (others.empty()) continue;
    const auto base = record::Reader::open(reference.output);
    std::vector<analysis::Section> sections;
    for (const auto* other : others) {
      line.show(fmt::format("comparing {} with {}", other->name, reference.name));
      const auto candidate = record::Reader::open(other->output);
      analysis::Section section;
      section.measurement = analysis::measure_runs(base, candidate);
      section.measurement.candidate.path = other->name + (other->predicted ? " (predicted)" : "");
      sections.push_back(std::move(section));
    }
    line.say("\ncompared with " + reference.name);
    line.say(analysis::summary_text(sections));
    write_text_durably(output / ("compare-" + reference.name + ".json"), analysis::to_json(base, sections));
  }
  for (const auto& run : status.runs)
    if (run.state == runner::RunState::failed || run.state == runner::RunState::skipped)
      line.say(fmt::format("{} {}: {} (log: {})", run.name, runner::name_of(run.state), run.reason,
                           run.log.string()));
  if (!study.question.empty()) line.say("question: " + study.question);
}

}  // namespace shardrift::cli
