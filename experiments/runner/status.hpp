// What became of every run of a study, as a value and as status.json in its output folder: written by
// `shardrift study` (and by array tasks of `shardrift submit`), read by `shardrift status`.
//
// A key for each field of StudyStatus, and: schema, "shardrift study status 1"; runs, a list of objects with
// a key for each field of RunStatus; not_possible, [{name, reason}]. Times are ISO 8601 in UTC; how far a
// running one is, its parts say (finished_prompts).
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/field_table.hpp"
#include "common/named_enum.hpp"
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
  bool operator==(const RunStatus&) const = default;
};
// Its keys in status.json: a new field is a member and a row.
constexpr auto fields_of(std::type_identity<RunStatus>) {
  return std::tuple{
      Field{"name", &RunStatus::name},
      Field{"role", &RunStatus::role},
      Field{"plan", &RunStatus::plan},
      Field{"asked", &RunStatus::asked},
      Field{"predicted", &RunStatus::predicted},
      Field{"prediction", &RunStatus::prediction},
      Field{"ranks", &RunStatus::ranks},
      Field{"state", &RunStatus::state},
      Field{"reason", &RunStatus::reason},
      Field{"output", &RunStatus::output},
      Field{"log", &RunStatus::log},
      Field{"arguments", &RunStatus::arguments},
      Field{"fingerprint", &RunStatus::fingerprint},
      Field{"replacing", &RunStatus::replacing},
      Field{"prompts", &RunStatus::prompts},
      Field{"attempts", &RunStatus::attempts},
      Field{"started", &RunStatus::started},
      Field{"finished", &RunStatus::finished},
      Field{"seconds", &RunStatus::seconds},
      Field{"estimated_seconds", &RunStatus::estimated_seconds},
      Field{"compare_with", &RunStatus::compare_with},
  };
}
static_assert(field_count<RunStatus>() == member_count<RunStatus>(),
              "a member of RunStatus has no row above");

struct StudyStatus {
  std::filesystem::path study;  // the file; empty: a command's own study
  std::string name;
  std::string question;
  std::string host;
  std::int64_t pid = 0;
  std::string started;
  std::string updated;
  std::string state;  // running | stopping | done | failed | interrupted
  std::string machine;
  std::vector<RunStatus> runs;
  std::vector<study::NotPossible> not_possible;
  bool at_once = false;  // of this process: told twice to stop, nothing more is waited for

  RunStatus* find(std::string_view run);
  const RunStatus* find(std::string_view run) const;
};
constexpr auto fields_of(std::type_identity<StudyStatus>) {
  return std::tuple{
      Field{"study", &StudyStatus::study},       Field{"name", &StudyStatus::name},
      Field{"question", &StudyStatus::question}, Field{"host", &StudyStatus::host},
      Field{"pid", &StudyStatus::pid},           Field{"started", &StudyStatus::started},
      Field{"updated", &StudyStatus::updated},   Field{"state", &StudyStatus::state},
      Field{"machine", &StudyStatus::machine},
  };
}
// runs and not_possible are lists, at_once is not kept.
static_assert(field_count<StudyStatus>() == member_count<StudyStatus>() - 3,
              "a member of StudyStatus has no row above");

// Throws usage_error where files of a study in that folder, or of its jobs, would have too long names.
void refuse_long_folder(const std::filesystem::path& output_folder);

std::filesystem::path status_path(const std::filesystem::path& output_folder);
std::string to_json(const StudyStatus& status);
// nullopt where there is none yet. bad_data naming file and key where it is not what it should be.
std::optional<StudyStatus> read_status(const std::filesystem::path& output_folder);
void write_status(const StudyStatus& status, const std::filesystem::path& output_folder);  // durably

// "failed: no space left", "skipped: follows tp2, which failed", "interrupted": said once, although reasons
// begin with the word for their exit code.
std::string state_words(RunState state, const std::string& reason);

RunStatus status_of(const study::Configuration& configuration, const std::filesystem::path& output_folder);

// Prompts that are safely on disk for this record: all of a finished one, none of a file that cannot be used
// as one, else the parts.
std::int64_t finished_prompts(const std::filesystem::path& output, std::int64_t all);
// Is OUT.h5 there and complete?
bool is_complete(const std::filesystem::path& output);
// Why what lies there is no complete record (of a probe: no file), in words that name it; empty: it is one.
std::string fault_of_output(const study::Configuration& configuration);
// Is it one, and of this plan?
bool is_record_of(const study::Configuration& configuration);

}  // namespace shardrift::runner
