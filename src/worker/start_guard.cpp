#include "worker/start_guard.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string_view>

#include "common/error.hpp"
#include "common/text.hpp"
#include "options/run_options.hpp"

namespace shardrift {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr int kTicksASecond = 10;
constexpr int kLeastSeconds = 60;  // programs may come from a slow file system, one rank after the other

}  // namespace

int start_limit(const std::vector<std::string>& arguments) {
  constexpr std::string_view kFlag = "--stall-timeout";
  int seconds = RunOptions().stall_timeout;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string_view text = arguments[i];
    if (!text.starts_with(kFlag)) continue;
    text.remove_prefix(kFlag.size());
    if (text.starts_with('='))
      text.remove_prefix(1);
    else if (text.empty() && i + 1 < arguments.size())
      text = arguments[i + 1];
    if (const auto value = number_from<int>(text); value && *value >= 0) seconds = *value;
  }
  return seconds == 0 ? 0 : std::max(seconds, kLeastSeconds);
}

StartGuard::StartGuard(const std::vector<std::string>& arguments) {
  if (const int seconds = start_limit(arguments); seconds > 0)
    thread_ = std::thread([this, seconds] { watch(seconds); });
}

StartGuard::~StartGuard() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  ended_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void StartGuard::watch(int seconds) {
  std::unique_lock lock(mutex_);
  for (int tick = 0; tick < seconds * kTicksASecond; ++tick)
    if (ended_.wait_for(lock, kTick, [&] { return done_; })) return;
  std::fprintf(
      stderr,
      "shardrift-run: process %d: the ranks have not found each other within %d s: one of them is stopped, "
      "or its host does not answer; start again, with --stall-timeout N if starting takes longer here\n",
      static_cast<int>(::getpid()), seconds);
  std::fflush(stderr);
  ::_exit(static_cast<int>(ExitCode::failure));  // MPI is not there to end the others: the launcher does
}

}  // namespace shardrift
