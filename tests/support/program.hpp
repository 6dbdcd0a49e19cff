// Starting programs from tests: one process or mpirun, with everything they print.
#pragma once
#include <string>
#include <vector>

namespace shardrift::testing {

struct Finished {
  int code = 0;        // exit code, -1 where a signal ended it
  std::string output;  // stdout and stderr, as they came
  double seconds = 0;
};

// arguments[0] is the program. Killed after `limit` seconds (code -1).
Finished run_program(const std::vector<std::string>& arguments, double limit = 60);

// A program that is still running; killed with its owner.
class Running {
 public:
  explicit Running(const std::vector<std::string>& arguments);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  int pid() const { return pid_; }
  Finished wait(double limit = 60);

 private:
  int pid_ = -1;
  int pipe_ = -1;
};

// mpirun -np ranks build/bin/shardrift-run arguments…
std::vector<std::string> worker_command(int ranks, const std::vector<std::string>& arguments);

}  // namespace shardrift::testing
