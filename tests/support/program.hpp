// Starting programs from tests: one process or mpirun, with everything they print.
#pragma once
#include <string>
#include <vector>

#include "wait.hpp"

namespace shardrift::testing {

struct Finished {
  int code = 0;        // exit code, -1 where a signal ended it
  std::string output;  // stdout and stderr, as they came
};

// arguments[0] is the program. One that hangs is killed (code -1).
Finished run_program(const std::vector<std::string>& arguments);

// A program that is still running; killed with its owner.
class Running {
 public:
  explicit Running(const std::vector<std::string>& arguments);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  int pid() const { return pid_; }
  bool has_ended() const;
  Finished wait();  // as run_program

 private:
  int pid_ = -1;
  int pipe_ = -1;
};

// mpirun -np ranks build/bin/shardrift-run arguments…
std::vector<std::string> worker_command(int ranks, const std::vector<std::string>& arguments);

}  // namespace shardrift::testing
