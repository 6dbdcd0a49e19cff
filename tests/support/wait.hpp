// Waiting for what another process does. The event ends a wait; the last limit only ends a test that would
// hang.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

namespace shardrift::testing {

constexpr double kLastLimit = 600;  // seconds: no machine is so slow

// ASSERT_TRUE(wait_for("the daemons to end", [&] { return daemons().empty(); }));
inline ::testing::AssertionResult wait_for(const std::string& what, const std::function<bool()>& is_so,
                                           std::chrono::milliseconds every = std::chrono::milliseconds(5)) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(kLastLimit);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > end)
      return ::testing::AssertionFailure() << "waited " << kLastLimit << " s in vain for " << what;
    std::this_thread::sleep_for(every);
  }
  return ::testing::AssertionSuccess();
}

}  // namespace shardrift::testing
