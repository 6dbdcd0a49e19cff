// Ranks stop at one step, whenever the stop is asked for and however far apart they are.
#include "parallel/stop/common_stop.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace shardrift {
namespace {

constexpr std::uint64_t kNever = 0;

// A group of ranks as threads, each with a second one that tells the others its promise in some order.
struct Group {
  explicit Group(int count) {
    for (int rank = 0; rank < count; ++rank) {
      ranks.push_back(std::make_unique<CommonStop>());
      ranks.back()->among(0, count, rank);
    }
  }
  void tell(int from, int to) const { at(to).hear(from, at(from).promise()); }
  CommonStop& at(int rank) const { return *ranks[static_cast<std::size_t>(rank)]; }
  std::vector<std::unique_ptr<CommonStop>> ranks;
};

TEST(CommonStop, NobodyStopsUnasked) {
  const Group group(2);
  for (int step = 0; step < 100; ++step) EXPECT_FALSE(group.at(0).step());
}

TEST(CommonStop, OneRankStopsAtItsNextStep) {
  const Group group(1);
  EXPECT_FALSE(group.at(0).step());
  EXPECT_EQ(group.at(0).promise(), 2U);
  EXPECT_TRUE(group.at(0).step());
}

TEST(CommonStop, TheFarthestPromiseIsTheStep) {
  const Group group(2);
  for (int step = 0; step < 5; ++step) EXPECT_FALSE(group.at(0).step());
  EXPECT_FALSE(group.at(1).step());
  group.tell(0, 1);  // 0 is at step 5 and promises 6; 1 is at step 1
  group.tell(1, 0);
  for (int step = 2; step < 6; ++step) EXPECT_FALSE(group.at(1).step()) << step;
  EXPECT_TRUE(group.at(1).step());
  EXPECT_TRUE(group.at(0).step());
}

TEST(CommonStop, BeforeThereIsAGroupThereIsNoPromise) {
  CommonStop stop;
  EXPECT_EQ(stop.promise(), 0U);
  stop.hear(1, 7);  // another rank is ahead
  stop.among(0, 2, 0);
  EXPECT_EQ(stop.promise(), 1U);
  for (int step = 1; step < 7; ++step) EXPECT_FALSE(stop.step()) << step;
  EXPECT_TRUE(stop.step());
}

// Other ranks of the job take other steps: what they promise is not waited for.
TEST(CommonStop, OnlyTheGroupCounts) {
  CommonStop stop;
  stop.among(2, 2, 2);
  stop.hear(0, 90);
  stop.hear(3, 4);
  EXPECT_EQ(stop.promise(), 1U);
  for (int step = 1; step < 4; ++step) EXPECT_FALSE(stop.step()) << step;
  EXPECT_TRUE(stop.step());
}

TEST(CommonStop, ThreadsAtAnyPaceStopTogether) {
  constexpr int kRanks = 4;
  constexpr int kSteps = 2000;
  for (unsigned seed = 0; seed < 50; ++seed) {
    const Group group(kRanks);
    std::vector<std::uint64_t> stopped(kRanks, kNever);
    std::atomic<int> come_far{0};
    std::vector<std::thread> threads;
    for (int rank = 0; rank < kRanks; ++rank)
      threads.emplace_back([&, rank] {
        for (std::uint64_t step = 1; step <= kSteps; ++step) {
          if (step == 1 + seed) ++come_far;
          if (group.at(rank).step()) {
            stopped[static_cast<std::size_t>(rank)] = step;
            return;
          }
        }
      });
    threads.emplace_back([&] {
      while (come_far == 0) std::this_thread::yield();  // somebody is there: the signal comes
      std::vector<std::pair<int, int>> messages;
      for (int from = 0; from < kRanks; ++from)
        for (int to = 0; to < kRanks; ++to)
          if (from != to) messages.emplace_back(from, to);
      std::shuffle(messages.begin(), messages.end(), std::mt19937(seed));
      for (const auto& [from, to] : messages) group.tell(from, to);
    });
    for (auto& thread : threads) thread.join();
    // All at one step, or (the last promise lies behind the last step) none.
    for (const auto step : stopped) EXPECT_EQ(step, stopped[0]) << "seed " << seed;
  }
}

}  // namespace
}  // namespace shardrift
