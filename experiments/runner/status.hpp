// What became of every run of a study, as a value and as status.json in its output folder: written by
// `shardrift study` (and by array tasks of `shardrift submit`), read by `shardrift status`.
//
//   schema          "shardrift study status 1"
//   study, name, question, host, pid, started, updated, state
//   machine         in words
//   runs            [{name, role, plan, asked, predicted, prediction, ranks, state, reason, output, log,
//                     arguments, fingerprint, replacing, prompts, attempts, started, finished, seconds,
//                     estimated_seconds, compare_with}]
//   not_possible    [{name, reason}]
// Times are ISO 8601 in UTC; how far a running one is, its parts say (finished_prompts).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/study/plan_study.hpp"

namespace shardrift::runner {

enum class RunState {
  waiting,
  running,
  done,
  failed,       // see reason
  interrupted,  // stopped by a signal; goes on where it stopped
  skipped,      // what it follows failed
};
constexpr auto names_of(RunState) {
  return std::to_array<Named<RunState>>({{RunState::waiting, "waiting"},
                                         {RunState::running, "running"},
                                         {RunState::done, "done"},
                                         {RunState::failed, "failed"},
                                         {RunState::interrupted, "interrupted"},
                                         {RunState::skipped, "skipped"}});
}

struct RunStatus {
  std::string name;
  std::string role;
  std::string plan;
  std::string asked;  // where predicted: the plan asked for
  bool predicted = false;
  std::string prediction;
  int ranks = 1;
  RunState state = RunState::waiting;
  std::string reason;  // in words, where failed, interrupted or skipped
  std::filesystem::path output;
  std::filesystem::path log;
  std::vector<std::string> arguments;
  std::string fingerprint;
  bool replacing = false;  // an older record of this name, made otherwise, is being replaced
  std::int64_t prompts = 0;
  int attempts = 0;
  std::string started;  // of the last attempt
  std::string finished;
  double seconds = 0;  // of all attempts
  double estimated_seconds = 0;
  std::string compare_with;
};

struct StudyStatus {
  std::filesystem::path study;  // the file; empty: a command's own study
  std::string name;
  std::string question;
  std::string host;
  std::int64_t pid = 0;
  std::string started;
  std::string updated;
  std::string state;  // running | done | failed | interrupted
  std::string machine;
  std::vector<RunStatus> runs;
  std::vector<study::NotPossible> not_possible;

  RunStatus* find(std::string_view run);
  const RunStatus* find(std::string_view run) const;
};

std::filesystem::path status_path(const std::filesystem::path& output_folder);
std::string to_json(const StudyStatus& status);
// nullopt where there is none yet. bad_data naming file and key where it is not what it should be.
std::optional<StudyStatus> read_status(const std::filesystem::path& output_folder);
void write_status(const StudyStatus& status, const std::filesystem::path& output_folder);  // durably

RunStatus status_of(const study::Configuration& configuration, const std::filesystem::path& output_folder);

// Prompts that are safely on disk for this record: all of a finished one, else the parts.
std::int64_t finished_prompts(const std::filesystem::path& output, std::int64_t all);
// Is OUT.h5 there and complete?
bool is_complete(const std::filesystem::path& output);
// … and of this plan?
bool is_record_of(const study::Configuration& configuration);

}  // namespace shardrift::runner
