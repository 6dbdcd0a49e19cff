// How long a pass takes, where the next one may begin before it is taken.
#pragma once
#include <chrono>
#include <optional>

namespace shardrift {

class PassClock {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void began(Time at) { began_ = at; }
  // A synchronous device has done all of it by then; what follows until it is taken is other passes' time.
  void computed(Time at) { computed_ = at; }
  // Seconds since it began, or since the one before was done (an asynchronous device goes from one to the
  // next). before: when that was; becomes when this one was.
  double taken(Time at, Time& before) const;

 private:
  Time began_;
  std::optional<Time> computed_;
};

}  // namespace shardrift
