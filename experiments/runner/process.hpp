// A program that runs beside us: in its own process group, so that Ctrl-C reaches it when we pass it on and
// not before; told to end (SIGTERM) should we die first. Linux.
//
// Why not Boost.Process: version 1 (Debian 12's Boost 1.74) is deprecated, needs Boost.Filesystem to link,
// and has neither the death signal nor exit codes apart from signals; version 2 needs Boost 1.80.
#pragma once
#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace shardrift::runner {

// How a program ended.
struct Ended {
  int code = 0;    // exit code; 0 where a signal ended it
  int signal = 0;  // that signal, else 0
};

struct Command {
  std::vector<std::string> words;                  // words[0]: the program, looked for in PATH
  std::map<std::string, std::string> environment;  // set on top of ours
  std::filesystem::path log;                       // stdout and stderr are appended to it; stdin is empty
};

class Process {
 public:
  // Throws failure: no such program, not executable, no log.
  explicit Process(const Command& command);
  // Kills what still runs: reached when an error unwinds us.
  ~Process();
  Process() = default;  // none
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  pid_t pid() const { return pid_; }
  std::optional<Ended> poll();          // how it ended, nullopt while it runs; may be asked again
  void signal(int number) const;        // to the program alone
  void signal_group(int number) const;  // to it and all it started

 private:
  pid_t pid_ = -1;
  std::optional<Ended> ended_;
};

// Runs a program to its end and returns what it wrote to stdout; nullopt where it cannot be started, fails or
// takes longer than `seconds`. For asking tools (nvidia-smi, mpirun --version) that need not be there.
std::optional<std::string> output_of(const std::vector<std::string>& words, double seconds = 60);

}  // namespace shardrift::runner
