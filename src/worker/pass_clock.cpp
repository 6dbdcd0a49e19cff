#include "worker/pass_clock.hpp"

#include <algorithm>

namespace shardrift {

double PassClock::taken(Time at, Time& before) const {
  const Time done = computed_.value_or(at);
  const Time from = std::max(began_, before);
  before = done;
  return std::chrono::duration<double>(done - from).count();
}

}  // namespace shardrift
