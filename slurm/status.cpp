#include "slurm/status.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/text.hpp"
#include "common/text_columns.hpp"
#include "experiments/runner/status.hpp"
#include "slurm/settle.hpp"
#include "slurm/words.hpp"

namespace shardrift::slurm {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestNote = 1U << 16U;
constexpr std::uintmax_t kFullDisk = 16U << 20U;  // bytes: less, and little can be written any more

std::string log_of(const Submission& submission, const std::string& name) {
  return (submission.folder() / "logs" / (name + ".log")).string();
}

// Array tasks that never began are one entry once they are cancelled: "12", or "12_[0-3]".
bool is_whole_array(const std::string& entry, const std::string& job) {
  const auto number = job.substr(0, job.find('_'));
  return job.size() > number.size() && (entry == number || entry.starts_with(number + "_["));
}

const QueueEntry* find(const std::vector<QueueEntry>* queue, const std::string& job,
                       const std::string& cluster) {
  if (queue == nullptr || job.empty()) return nullptr;
  const QueueEntry* whole = nullptr;
  for (const auto& entry : *queue) {
    if (entry.cluster != cluster) continue;
    if (entry.job == job) return &entry;
    if (is_whole_array(entry.job, job)) whole = &entry;
  }
  return whole;
}

bool is_pending(const std::string& state) {
  return state == "PENDING" || state == "REQUEUED" || state == "REQUEUE_HOLD" || state == "SPECIAL_EXIT";
}
bool is_running(const std::string& state) {
  return state == "RUNNING" || state == "CONFIGURING" || state == "COMPLETING" || state == "SUSPENDED" ||
         state == "STOPPED" || state == "RESIZING" || state == "SIGNALING" || state == "STAGE_OUT";
}

// "41 of 100 prompts recorded"
std::string prompts_text(const JobRow& row) {
  if (row.all_prompts > 0) return fmt::format("{} of {} prompts recorded", row.prompts, row.all_prompts);
  return fmt::format("{} prompt{} recorded", row.prompts, row.prompts == 1 ? "" : "s");
}

// From the task's own words, where Slurm has forgotten the job or cannot be asked.
void from_note(JobRow& row, const TaskNote& note, const Submission& submission, bool slurm_was_asked) {
  row.nodes = note.nodes;
  if (note.state == "failed") {
    row.state = JobState::failed;
    row.words = fmt::format("{} (exit code {}): {}", note.words, note.code, log_of(submission, row.name));
  } else if (note.state == "interrupted") {
    row.state = JobState::interrupted;
    row.words = note.words;
  } else if (note.state == "running") {
    row.state = slurm_was_asked ? JobState::failed : JobState::running;
    row.words =
        slurm_was_asked ? "its job ended without a word: see " + log_of(submission, row.name) : note.words;
  } else {
    row.state = JobState::failed;
    row.words = "was done, but its record is not here";
  }
}

void from_queue(JobRow& row, const QueueEntry& entry, const std::optional<TaskNote>& note,
                const Submission& submission) {
  row.nodes = entry.nodes;
  if (is_pending(entry.state)) {
    row.state = JobState::waiting;
    row.words = pending_words(entry);
    if (row.prompts > 0) row.words += "; " + prompts_text(row);
  } else if (is_running(entry.state)) {
    row.state = JobState::running;
    row.words = fmt::format("{} of {}", entry.elapsed, entry.limit);
    if (row.ranks > 0) row.words += ", " + prompts_text(row);
  } else {
    const bool told =
        note && note->job == row.job && (note->state == "failed" || note->state == "interrupted");
    if (told && entry.state != "NODE_FAIL") return from_note(row, *note, submission, true);
    const bool cancelled = entry.state.starts_with("CANCELLED") || entry.state == "PREEMPTED";
    row.state = cancelled ? JobState::interrupted : JobState::failed;
    row.words = ended_words(entry.state, entry.reason);
    if (entry.reason == "DependencyNeverSatisfied") row.state = JobState::not_started;
    if (row.prompts > 0) row.words += "; " + prompts_text(row);
    if (row.state == JobState::failed) row.words += ": " + log_of(submission, row.name);
  }
}

void look_at_disk(const Submission& submission, Status& status) {
  struct statvfs disk {};
  if (statvfs(submission.output.c_str(), &disk) != 0) return;
  const auto free = static_cast<std::uintmax_t>(disk.f_bavail) * disk.f_frsize;
  if (free < kFullDisk)
    status.remarks.push_back(fmt::format("the disk of {} is full ({} KiB free): make room, then submit again",
                                         submission.output.string(), free >> 10U));
}

}  // namespace

TaskNote parse_note(const std::string& text) {
  TaskNote note;
  for (const auto& line : split(text, '\n')) {
    const auto equals = line.find('=');
    if (equals == std::string::npos) continue;
    const auto key = line.substr(0, equals);
    const auto value = line.substr(equals + 1);
    if (key == "state") note.state = value;
    if (key == "code") std::from_chars(value.data(), value.data() + value.size(), note.code);
    if (key == "job") note.job = value;
    if (key == "nodes") note.nodes = value;
    if (key == "gpu") note.gpu = value;
    if (key == "words") note.words = value;
  }
  return note;
}

std::optional<TaskNote> read_note(const Submission& submission, const std::string& name) {
  const auto path = submission.folder() / "state" / name;
  if (!fs::exists(path)) return std::nullopt;
  return parse_note(read_text_file(path, kLongestNote));
}

JobRow describe(const Submission& submission, const std::string& name, bool recorded, std::int64_t prompts,
                const std::optional<TaskNote>& note, const std::vector<QueueEntry>* queue) {
  JobRow row;
  row.name = name;
  row.job = submission.job_of(name);
  row.prompts = prompts;
  for (const auto& one : submission.configurations)
    if (one.name == name) {
      row.ranks = one.ranks;
      row.all_prompts = one.prompts;
    }
  const bool analysis = row.ranks == 0;
  const auto* submitted = submission.submitted_as(name);
  const auto* entry = find(queue, row.job, submitted == nullptr ? "" : submitted->cluster);
  const bool finished =
      analysis ? note && note->state == "done" && (entry == nullptr || note->job == row.job) : recorded;
  if (finished && (entry == nullptr || !is_pending(entry->state))) {
    row.state = JobState::done;
    if (note) row.nodes = note->nodes;
    if (analysis) row.words = note->words;
  } else if (entry != nullptr) {
    from_queue(row, *entry, note, submission);
  } else if (note) {
    from_note(row, *note, submission, queue != nullptr);
  } else {
    row.state = queue == nullptr ? JobState::waiting : JobState::not_started;
    row.words = queue == nullptr ? "" : "its job is gone and never began: submit again";
  }
  return row;
}

Status look(const Submission& submission) {
  Status status;
  std::vector<QueueEntry> entries;
  const std::vector<QueueEntry>* queue = nullptr;
  try {
    for (const auto& cluster : submission.clusters())
      for (auto& entry : ask_queue(cluster)) entries.push_back(std::move(entry));
    queue = &entries;
  } catch (const Error& error) {
    status.remarks.push_back(fmt::format("{}; what follows is what the tasks wrote down", error.what()));
  }
  std::error_code ignored;
  for (const auto& one : submission.configurations) {
    status.rows.push_back(describe(submission, one.name, fs::is_regular_file(one.output, ignored),
                                   runner::finished_prompts(one.output, one.prompts),
                                   read_note(submission, one.name), queue));
  }
  status.rows.push_back(describe(submission, "analysis", false, 0, read_note(submission, "analysis"), queue));
  look_at_disk(submission, status);
  const auto devices = check_devices(submission.configurations);
  if (!devices.mixed.empty()) status.remarks.push_back(devices.mixed);
  status.remarks.insert(status.remarks.end(), devices.unreadable.begin(), devices.unreadable.end());
  return status;
}

std::string status_text(const Submission& submission, const Status& status) {
  std::map<JobState, int> counts;
  TextColumns table({{"configuration", Align::left},
                     {"ranks", Align::right},
                     {"state", Align::left},
                     {"job", Align::left},
                     {"nodes", Align::left},
                     {"", Align::left}});
  for (const auto& row : status.rows) {
    if (row.ranks > 0) ++counts[row.state];
    table.add({row.name, row.ranks > 0 ? std::to_string(row.ranks) : "", std::string(name_of(row.state)),
               row.job, row.nodes, row.words});
  }
  std::string text = fmt::format("{}: {} configurations", submission.study, submission.configurations.size());
  for (const auto& [state, count] : counts) text += fmt::format(", {} {}", count, name_of(state));
  text += "\n\n" + table.str();
  if (!status.remarks.empty()) text += "\n";
  for (const auto& remark : status.remarks) text += remark + "\n";
  return text;
}

ExitCode exit_code(const Status& status) {
  bool missing = false;
  bool alive = false;
  for (const auto& row : status.rows) {
    alive = alive || row.state == JobState::running || row.state == JobState::waiting;
    missing = missing || row.state != JobState::done;
  }
  if (alive) return ExitCode::interrupted;
  return missing ? ExitCode::failure : ExitCode::ok;
}

}  // namespace shardrift::slurm
