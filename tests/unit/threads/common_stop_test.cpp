// Ranks as threads: however far apart they are, all stop at one step.
#include "parallel/stop/common_stop.hpp"

#include <gmock/gmock.h>

#include <array>
#include <thread>

#include "common/progress.hpp"

namespace shardrift {
namespace {

TEST(CommonStop, AllRanksStopAtOneStep) {
  constexpr int kRanks = 4;
  constexpr std::uint64_t kBefore = 200;  // steps that rank 2 has taken when the stop is asked for
  std::array<CommonStop, kRanks> stops;
  std::array<std::atomic<std::uint64_t>, kRanks> steps{};
  for (int rank = 0; rank < kRanks; ++rank) stops[static_cast<std::size_t>(rank)].among(0, kRanks, rank);

  std::vector<std::thread> ranks;
  for (std::size_t rank = 0; rank < kRanks; ++rank)
    ranks.emplace_back([&, rank] {
      bool stop = false;
      while (!stop) {
        progress::at("step", static_cast<std::int64_t>(steps[rank] + 1));
        stop = stops[rank].step();
        steps[rank].fetch_add(1);
        steps[rank].notify_all();
      }
    });
  // What the watchdogs do: promises are asked for and told, in any order and again and again.
  for (auto seen = steps[2].load(); seen < kBefore; seen = steps[2].load()) steps[2].wait(seen);
  for (int round = 0; round < 2; ++round)
    for (std::size_t from = 0; from < kRanks; ++from) {
      const auto promise = stops[from].promise();
      for (auto& to : stops) to.hear(static_cast<int>(from), promise);
      progress::state();
    }
  for (auto& rank : ranks) rank.join();
  EXPECT_GE(steps[0].load(), kBefore);
  for (const auto& step : steps) EXPECT_EQ(step.load(), steps[0].load());
}

}  // namespace
}  // namespace shardrift
