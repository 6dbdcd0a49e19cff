#include "experiments/runner/stop_signals.hpp"

namespace shardrift::runner {
namespace {

volatile std::sig_atomic_t g_signals = 0;

}  // namespace

StopSignals::StopSignals() {
  g_signals = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { g_signals = g_signals + 1; };
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &old_[i]);
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &old_[i], nullptr);
}

int StopSignals::count() const {
  return g_signals;
}

}  // namespace shardrift::runner
