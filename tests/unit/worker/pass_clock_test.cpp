// Seconds of passes on a device whose passes take known times, in the order that the loop begins and takes
// them in: one by one, and running ahead.
#include "worker/pass_clock.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace shardrift {
namespace {

using Time = PassClock::Time;

constexpr double kTaking = 0.125;  // of the host, after each pass
const std::vector<double> kPasses{8, 1, 2, 0.5, 4};

Time at(double seconds) {
  return Time(std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds)));
}

// A synchronous device: begin() is over when the pass is.
std::vector<double> synchronous(bool ahead) {
  double now = 1;
  Time before;
  std::vector<PassClock> clocks(kPasses.size());
  std::vector<double> seconds;
  const auto begin = [&](std::size_t i) {
    clocks[i].began(at(now));
    now += kPasses[i];
    clocks[i].computed(at(now));
  };
  const auto take = [&](std::size_t i) {
    seconds.push_back(clocks[i].taken(at(now), before));
    now += kTaking;
  };
  for (std::size_t i = 0; i < kPasses.size(); ++i) {
    if (i == 0 || !ahead) begin(i);
    if (ahead && i + 1 < kPasses.size()) begin(i + 1);
    take(i);
  }
  return seconds;
}

// An asynchronous one goes from one pass to the next; begin() returns at once.
std::vector<double> asynchronous(bool ahead) {
  double now = 1, device = 0;
  Time before;
  std::vector<PassClock> clocks(kPasses.size());
  std::vector<double> done(kPasses.size()), seconds;
  const auto begin = [&](std::size_t i) {
    clocks[i].began(at(now));
    device = std::max(device, now) + kPasses[i];
    done[i] = device;
  };
  for (std::size_t i = 0; i < kPasses.size(); ++i) {
    if (i == 0 || !ahead) begin(i);
    if (ahead && i + 1 < kPasses.size()) begin(i + 1);
    now = std::max(now, done[i]);
    seconds.push_back(clocks[i].taken(at(now), before));
    now += kTaking;
  }
  return seconds;
}

TEST(PassClock, EachPassHasItsOwnSecondsAheadOrNot) {
  EXPECT_EQ(synchronous(false), kPasses);
  EXPECT_EQ(synchronous(true), kPasses);
  EXPECT_EQ(asynchronous(false), kPasses);
  EXPECT_EQ(asynchronous(true), kPasses);  // nothing of them is idle: taking hides behind the next
}

}  // namespace
}  // namespace shardrift
