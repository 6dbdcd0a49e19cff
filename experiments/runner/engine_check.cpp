#include "experiments/runner/engine_check.hpp"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "common/error.hpp"
#include "common/text.hpp"
#include "experiments/runner/process.hpp"
#include "experiments/runner/reasons.hpp"

namespace shardrift::runner {
namespace {

namespace fs = std::filesystem;

constexpr auto kPoll = std::chrono::milliseconds(20);

// A file of our own, gone with its owner.
class TemporaryLog {
 public:
  TemporaryLog() : path_((fs::temp_directory_path() / "shardrift-check-XXXXXX").string()) {
    const int file = mkstemp(path_.data());
    if (file < 0) throw failure("{}: cannot be made", path_);
    close(file);
  }
  ~TemporaryLog() { unlink(path_.c_str()); }
  TemporaryLog(const TemporaryLog&) = delete;
  TemporaryLog& operator=(const TemporaryLog&) = delete;
  fs::path path() const { return path_; }

 private:
  std::string path_;
};

bool is_program(const std::string& word) {
  if (word.find('/') != std::string::npos) return access(word.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");
  const auto folders = split(path == nullptr ? "" : path, ':');
  return std::any_of(folders.begin(), folders.end(), [&](const std::string& folder) {
    return access((fs::path(folder.empty() ? "." : folder) / word).c_str(), X_OK) == 0;
  });
}

std::string seconds_text(std::chrono::milliseconds time) {
  return fmt::format("{:g}", std::chrono::duration<double>(time).count());
}

// Empty: it could run.
std::string problem_of(const study::Configuration& one, const Launcher& launcher, const Asking& asking) {
  if (!is_program(one.engine.front()))
    return fmt::format("there is no program {} here: put its folder on PATH", one.engine.front());
  if (!one.checks) return {};
  const TemporaryLog log;
  auto command = command_of(one, launcher, {}, 0, false, log.path());
  command.words.emplace_back("--check");
  // Folders and records that the study makes are not there yet, and it may be asked away from the devices.
  command.environment["SHARDRIFT_STUDY"] = "check";
  Process process(command);
  const auto begun = std::chrono::steady_clock::now();
  bool said = false;
  while (true) {
    if (const auto ended = process.poll())
      return ended->code == 0 && ended->signal == 0 ? std::string()
                                                    : reason_of(*ended, log.path(), one.engine);
    const auto passed = std::chrono::steady_clock::now() - begun;
    if (!said && asking.say && passed >= asking.quiet) {
      asking.say(fmt::format("{}: waiting for its engine's answer to --check, {} s at most: {}", one.name,
                             seconds_text(asking.limit), shell_text(command.words)));
      said = true;
    }
    if (passed >= asking.limit) {
      process.signal_group(SIGKILL);
      return fmt::format("no answer to --check in {} s: {}", seconds_text(asking.limit),
                         shell_text(command.words));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace

void require_engines(const study::Study& study, const study::StudyPlan& plan,
                     const std::vector<std::string>& names, const Launcher& launcher, const Asking& asking) {
  std::map<std::vector<std::string>, std::string> asked;  // problems by command
  std::vector<std::string> errors;
  for (const auto& one : plan.configurations) {
    if (one.engine.empty() || std::find(names.begin(), names.end(), one.name) == names.end()) continue;
    auto words = one.engine;
    words.insert(words.end(), one.arguments.begin(), one.arguments.end());
    auto found = asked.find(words);
    if (found != asked.end()) continue;  // said of the first run that has it
    found = asked.emplace(words, problem_of(one, launcher, asking)).first;
    if (!found->second.empty())
      errors.push_back(fmt::format("{}: {}: the engine's command cannot run: {}",
                                   place_in(study.file.string(), one.line), one.name, found->second));
  }
  if (errors.empty()) return;
  throw bad_data("{}\n           nothing was started; --only leaves runs out",
                 fmt::join(errors, "\n           "));
}

}  // namespace shardrift::runner
