#include "analysis/report/sampling.hpp"

#include <gtest/gtest.h>

namespace shardrift::report {
namespace {

TEST(Bins, CoverEveryValueOnce) {
  const Bins bins(5, 104, 64);  // 100 values: width 2, 50 bins
  EXPECT_EQ(bins.width(), 2);
  EXPECT_EQ(bins.count(), 50U);
  for (int value = 5; value <= 104; ++value) {
    const auto bin = bins.of(value);
    EXPECT_LE(bins.begin(bin), value);
    EXPECT_LT(value, bins.begin(bin) + bins.width());
  }
  EXPECT_EQ(bins.of(-3), 0U);
  EXPECT_EQ(bins.of(1'000'000), 49U);
}

TEST(Bins, FewValuesHaveOneEach) {
  const Bins bins(0, 9, 64);
  EXPECT_EQ(bins.width(), 1);
  EXPECT_EQ(bins.count(), 10U);
  EXPECT_EQ(Bins(3, 3, 64).count(), 1U);
}

TEST(Evenly, KeepsFirstAndLastAndTheOrder) {
  EXPECT_EQ(evenly(3, 10), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_TRUE(evenly(0, 10).empty());
  const auto some = evenly(1001, 11);
  ASSERT_EQ(some.size(), 11U);
  for (std::size_t i = 0; i < some.size(); ++i) EXPECT_EQ(some[i], i * 100);
  EXPECT_EQ(evenly(5, 1), std::vector<std::size_t>{0});
}

}  // namespace
}  // namespace shardrift::report
