#include <algorithm>
#include <map>

#include "common/counted.hpp"
#include "common/text_columns.hpp"
#include "experiments/runner/progress.hpp"
#include "experiments/runner/status_presenters.hpp"

namespace shardrift::runner {
namespace {

// What the file says of a run whose study was killed is not so any more.
RunState state_of(const RunStatus& run, bool alive) {
  return run.state == RunState::running && !alive ? RunState::interrupted : run.state;
}

// A file that a run left behind, and nobody can read as its record. Probes write none, and an engine may
// write as it goes.
bool is_unusable(const RunStatus& run, RunState state) {
  std::error_code error;
  return run.prompts > 0 && state != RunState::running && std::filesystem::exists(run.output, error) &&
         !is_complete(run.output);
}

std::string words_of(const RunStatus& run, RunState state) {
  if (state == RunState::done) return duration_text(run.seconds);
  std::string words = run.reason;
  const auto finished = finished_prompts(run.output, run.replacing ? 0 : run.prompts);
  if (finished > 0)
    words += fmt::format("{}{} of {} prompts recorded", words.empty() ? "" : "; ", finished, run.prompts);
  if (const auto file = run.output.string(); is_unusable(run, state) && words.find(file) == std::string::npos)
    words += fmt::format("{}{} cannot be used as a record", words.empty() ? "" : "; ", file);
  if (state == RunState::failed) words += ": " + run.log.string();
  return words;
}

}  // namespace

std::string status_text(const StudyStatus& status, bool alive) {
  std::map<RunState, int> counts;
  TextColumns table({{"run", Align::left},
                     {"plan", Align::left},
                     {"ranks", Align::right},
                     {"state", Align::left},
                     {"", Align::left}});
  for (const auto& run : status.runs) {
    const auto state = state_of(run, alive);
    ++counts[state];
    table.add({run.name, run.predicted ? run.asked + " (predicted)" : run.plan, std::to_string(run.ranks),
               std::string(name_of(state)), words_of(run, state)});
  }
  std::string text = fmt::format("{}: {}", status.name, counted(status.runs.size(), "run"));
  for (const auto& [state, count] : counts) text += fmt::format(", {} {}", count, name_of(state));
  text += fmt::format("\nmachine: {}\n\n{}", status.machine, table.str());
  if (!status.not_possible.empty()) text += "\nnot possible here\n";
  for (const auto& one : status.not_possible) text += fmt::format("  {}: {}\n", one.name, one.reason);
  if (alive)
    text += fmt::format("\nruns on {} (process {}), as of {}\n", status.host, status.pid, status.updated);
  else if (exit_code(status, alive) != ExitCode::ok)
    text += "\nnothing runs: the same command as before goes on from here\n";
  return text;
}

ExitCode exit_code(const StudyStatus& status, bool alive) {
  if (alive) return ExitCode::interrupted;
  const bool whole = std::all_of(status.runs.begin(), status.runs.end(),
                                 [](const RunStatus& run) { return run.state == RunState::done; });
  return whole ? ExitCode::ok : ExitCode::failure;
}

}  // namespace shardrift::runner
