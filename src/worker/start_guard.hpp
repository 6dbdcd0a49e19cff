// Before ranks can watch each other they have to find each other: a rank that stopped before, or a host that
// does not answer, would be waited for in MPI_Init for ever.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace shardrift {

// While it lives, the process ends with a message and code 70 once the limit has passed: --stall-timeout as
// `arguments` give it, but at least a minute, counted in ticks of its own, so that a suspended job's time
// does not count. Off where that is 0.
class StartGuard {
 public:
  explicit StartGuard(const std::vector<std::string>& arguments);
  ~StartGuard();
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;

 private:
  void watch(int seconds);

  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::thread thread_;
};

// --stall-timeout of a command line that is not checked yet; the default where it is not there or no number.
int start_limit(const std::vector<std::string>& arguments);

}  // namespace shardrift
