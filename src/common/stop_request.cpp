#include "common/stop_request.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>

#include "common/error.hpp"

namespace shardrift {

std::atomic<bool> stop_requested{false};

namespace {

std::atomic<int> g_hasty{0};  // SIGINT and SIGTERM so far
std::atomic<bool> g_read{false};
std::atomic<bool> g_waits{false};
std::atomic<int> g_descriptor{-1};

void on_signal(int number) {
  const int error = errno;
  stop_requested = true;
  if (number == SIGINT || number == SIGTERM) {
    const int count = ++g_hasty;
    if (count > 2 || (count == 2 && !g_read && !g_waits)) _exit(static_cast<int>(ExitCode::interrupted));
  }
  constexpr std::uint64_t kOne = 1;
  [[maybe_unused]] const auto written = write(g_descriptor, &kOne, sizeof kOne);
  errno = error;
}

}  // namespace

void catch_stop_signals() {
  g_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaction(number, &action, nullptr);
  struct sigaction before {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
    sigaction(SIGHUP, &action, nullptr);
}

SecondSignalWaits::SecondSignalWaits() {
  g_waits = true;
}

SecondSignalWaits::~SecondSignalWaits() {
  g_waits = false;
  if (hurry_requested()) _exit(static_cast<int>(ExitCode::interrupted));
}

int stop_descriptor() {
  return g_descriptor;
}

void stop_descriptor_is_read(bool read) {
  g_read = read;
}

bool hurry_requested() {
  return g_hasty > 1;
}

}  // namespace shardrift
