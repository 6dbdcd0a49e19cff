// shardrift status [DIR], shardrift cancel [DIR]
#include "slurm/status.hpp"

#include <algorithm>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "common/counted.hpp"
#include "experiments/runner/folder_lock.hpp"
#include "experiments/runner/status_presenters.hpp"
#include "slurm/settle.hpp"
#include "slurm/submit.hpp"

namespace shardrift::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStatusHelp = R"(usage: shardrift status [DIR] [--settle]

What became of a study: a line for every run, with how far it is, or why it failed.
One that shardrift submit handed to Slurm has a line for the analysis too, and says
what a job waits for. DIR is the study's output folder; left out: this folder, or
the only one in out/.

  shardrift status out/scale-out

exit code: 0 all is done, 75 something still runs or waits, 70 nothing does and
something is missing (the same command again: what is finished is kept)
)";

constexpr const char* kCancelHelp = R"(usage: shardrift cancel [DIR]

Takes a submitted study's jobs out of the queue. What is recorded stays; shardrift
submit goes on from there. DIR as in shardrift status.

  shardrift cancel out/scale-out
)";

bool is_submitted(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(slurm::submission_path(folder), ignored);
}
bool is_study(const fs::path& folder) {
  std::error_code ignored;
  return is_submitted(folder) || fs::exists(runner::status_path(folder), ignored);
}

// DIR, this folder, or the only one of its kind in out/. what, studies: "study", "studies"
fs::path folder_of(const std::vector<std::string>& given, const std::string& command, const char* what,
                   const char* studies, bool (*is_one)(const fs::path&)) {
  if (!given.empty()) return fs::absolute(given.front()).lexically_normal();
  if (is_one(".")) return fs::current_path();
  std::vector<fs::path> found;
  std::error_code ignored;
  for (fs::directory_iterator it("out", ignored), end; !ignored && it != end; it.increment(ignored))
    if (is_one(it->path())) found.push_back(it->path());
  if (found.size() == 1) return fs::absolute(found.front());
  if (found.empty()) throw usage_error("{}: no {} here: shardrift {} DIR", command, what, command);
  std::sort(found.begin(), found.end());
  throw usage_error("{}: out/ has {}, {} for one: shardrift {} {}", command,
                    counted(found.size(), what, studies), found.front().filename().string(), command,
                    found.front().string());
}

// Of a study that runs, or ran, on this machine.
ExitCode local_status(const fs::path& folder) {
  const auto status = runner::read_status(folder);
  if (!status)
    throw usage_error(
        "{}: no study was run or submitted from here (neither status.json nor slurm/submission.json)",
        folder.string());
  const bool alive = runner::is_locked(folder);
  print(runner::status_text(*status, alive));
  return runner::exit_code(*status, alive);
}

slurm::Submission submission_in(const fs::path& folder) {
  auto submission = slurm::read_submission(folder);
  if (!submission)
    throw usage_error("{}: no study was submitted from here (no slurm/submission.json)", folder.string());
  return *submission;
}

}  // namespace

ExitCode status(const std::vector<std::string>& arguments) {
  std::vector<std::string> folder;
  bool settle = false;
  Arguments known("status", kStatusHelp);
  known.files(folder, 1).flag("settle", settle,
                              "what the analysis job asks first: writes what became of each run into "
                              "DIR/status.json; exit code 65 where records come from different models of "
                              "GPU (or CPU)");
  if (!known.read(arguments)) return ExitCode::ok;
  const auto place = folder_of(folder, "status", "study", "studies", is_study);
  if (!settle && !is_submitted(place)) return local_status(place);
  const auto submission = submission_in(place);
  const auto found = slurm::look(submission);
  print(slurm::status_text(submission, found));
  if (!settle) return slurm::exit_code(found);
  slurm::tell_study(submission, found);
  if (const auto check = slurm::check_devices(submission.configurations); !check.mixed.empty())
    throw bad_data("{}", check.mixed);
  return ExitCode::ok;
}

ExitCode cancel(const std::vector<std::string>& arguments) {
  std::vector<std::string> folder;
  Arguments known("cancel", kCancelHelp);
  known.files(folder, 1);
  if (!known.read(arguments)) return ExitCode::ok;
  const auto submission =
      submission_in(folder_of(folder, "cancel", "submitted study", "submitted studies", is_submitted));
  const int jobs = slurm::cancel(submission);
  print(jobs == 0
            ? fmt::format("{}: nothing of it is in the queue\n", submission.study)
            : fmt::format(
                  "{}: {} jobs cancelled; what is recorded stays, shardrift submit goes on from there\n",
                  submission.study, jobs));
  return ExitCode::ok;
}

}  // namespace shardrift::cli
