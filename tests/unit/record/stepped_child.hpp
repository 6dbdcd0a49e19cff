// A child process that is killed at a chosen system call: any moment that a file system can tell from
// another, the same one on every machine.
#pragma once
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <functional>

namespace shardrift::record::testing {

struct Stepped {
  long stops = 0;  // before and after each system call of any of its threads
  bool killed = false;
  int code = 0;  // exit code of one that was not killed
};

// Forks, runs `body` and kills it at its stop number `kill_at`, 0: never.
inline Stepped run_stepped(const std::function<void()>& body, long kill_at) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::raise(SIGSTOP);
    try {
      body();
    } catch (const std::exception&) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  Stepped stepped;
  const auto resume = [](pid_t thread, int signal) {
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, signal);  // fails where it was killed meanwhile
  };
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSTOPPED(status)) << "this machine does not let a process trace its child";
  if (!WIFSTOPPED(status)) return stepped;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr,
           PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
  resume(child, 0);
  while (true) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) {
      ADD_FAILURE() << "waitpid: " << std::strerror(errno);
      return stepped;
    }
    if (WIFSTOPPED(status)) {
      const bool at_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
      stepped.stops += at_call ? 1 : 0;
      if (at_call && stepped.stops == kill_at) ::kill(child, SIGKILL);
      const bool its_own = !at_call && WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP;
      resume(thread, its_own ? WSTOPSIG(status) : 0);
    } else if (thread == child) {
      stepped.killed = WIFSIGNALED(status);
      stepped.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
      return stepped;
    }
  }
}

}  // namespace shardrift::record::testing
