#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>

extern char** environ;

namespace shardrift::testing {
namespace {
using Clock = std::chrono::steady_clock;
}

Running::Running(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  // A hang-up that this process ignores, as under nohup, is not the program's to ignore.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t hang_up;
  sigemptyset(&hang_up);
  sigaddset(&hang_up, SIGHUP);
  posix_spawnattr_setsigdefault(&attributes, &hang_up);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const int error = posix_spawnp(&pid_, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  pipe_ = ends[0];
  if (error != 0) throw std::runtime_error("cannot start " + arguments[0]);
}

Running::~Running() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(pipe_);
}

bool Running::has_ended() const {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

Finished Running::wait() {
  Finished finished;
  const auto begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  std::array<char, 4096> buffer{};
  while (true) {
    pollfd ready{pipe_, POLLIN, 0};
    if (poll(&ready, 1, 100) > 0) {
      const ssize_t got = read(pipe_, buffer.data(), buffer.size());
      if (got > 0) finished.output.append(buffer.data(), static_cast<std::size_t>(got));
      if (got == 0) break;
    }
    if (elapsed() > kLastLimit) {
      finished.output += "\n[the tests' last limit of " + std::to_string(kLastLimit) + " s is over: killed]";
      kill(pid_, SIGKILL);
      break;
    }
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  finished.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return finished;
}

Finished run_program(const std::vector<std::string>& arguments) {
  return Running(arguments).wait();
}

std::vector<std::string> worker_command(int ranks, const std::vector<std::string>& arguments) {
  std::vector<std::string> command{"mpirun", "-np", std::to_string(ranks),
                                   SHARDRIFT_BINARY_DIR "/bin/shardrift-run"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

}  // namespace shardrift::testing
