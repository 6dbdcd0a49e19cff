// What became of every job of a submitted study, in words: from what its tasks wrote down (state/NAME), what
// is recorded, and what Slurm still knows.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "slurm/slurm_commands.hpp"
#include "slurm/submission.hpp"

namespace shardrift::slurm {

// state/NAME, written by templates/task.sh.
struct TaskNote {
  std::string state;  // running | done | failed | interrupted
  int code = 0;
  std::string job;    // "12_3"
  std::string nodes;  // "n[1-2]"
  std::string gpu;    // model, empty on CPUs
  std::string words;
};
TaskNote parse_note(const std::string& text);  // unknown keys are passed over
std::optional<TaskNote> read_note(const Submission& submission, const std::string& name);

enum class JobState { done, running, waiting, interrupted, failed, not_started };
constexpr auto names_of(JobState) {
  return std::to_array<Named<JobState>>({{JobState::done, "done"},
                                         {JobState::running, "running"},
                                         {JobState::waiting, "waiting"},
                                         {JobState::interrupted, "interrupted"},
                                         {JobState::failed, "failed"},
                                         {JobState::not_started, "not started"}});
}

struct JobRow {
  std::string name;
  int ranks = 0;  // 0: the analysis
  JobState state = JobState::not_started;
  std::string job;
  std::string nodes;
  std::int64_t prompts = 0;      // recorded so far
  std::int64_t all_prompts = 0;  // 0: not known
  std::string words;             // why, or how far
};

// One configuration, or "analysis". recorded: its record is complete. queue: nullptr where Slurm cannot be
// asked; then what the task wrote down has to do.
JobRow describe(const Submission& submission, const std::string& name, bool recorded, std::int64_t prompts,
                const std::optional<TaskNote>& note, const std::vector<QueueEntry>* queue);

struct Status {
  std::vector<JobRow> rows;          // the study's order, the analysis last
  std::vector<std::string> remarks;  // a full disk, Slurm out of reach
};
Status look(const Submission& submission);

std::string status_text(const Submission& submission, const Status& status);
// done: everything; interrupted: something runs or waits; failure: nothing does, and something is missing.
ExitCode exit_code(const Status& status);

}  // namespace shardrift::slurm
