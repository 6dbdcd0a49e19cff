// SIGINT and SIGTERM counted instead of died of, for an orderly stop.
#pragma once
#include <array>
#include <csignal>

namespace shardrift::runner {

// While one lives; there may be one at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int count() const;

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM};
  std::array<struct sigaction, kSignals.size()> old_{};
};

}  // namespace shardrift::runner
