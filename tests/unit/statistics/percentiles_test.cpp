#include "analysis/statistics/percentiles.hpp"

#include <cmath>
#include <limits>

#include "tests/unit/statistics/references.hpp"

namespace shardrift::statistics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Percentiles, AreNumPys) {
  for (const auto& c : testing::references().at("percentile"))
    EXPECT_NEAR(percentile(c.at("values"), c.at("p")), c.at("result").get<double>(), 1e-14) << c;
}

TEST(Percentiles, OfAResampleAreThoseOfItsRows) {
  for (const auto& c : testing::references().at("resampled_percentile")) {
    const ClusteredValues values(c.at("rows").get<testing::Rows>());
    EXPECT_NEAR(values.percentile(c.at("p"), c.at("drawn")), c.at("result").get<double>(), 1e-14) << c;
  }
}

TEST(Percentiles, LeaveOutNanAndKeepInfinity) {
  EXPECT_EQ(percentile({kNan, 2, 1}, 1), 2);
  EXPECT_EQ(percentile({1, kInfinity, kInfinity}, 0.75), kInfinity);  // between two infinities
  EXPECT_TRUE(std::isnan(percentile({kNan}, 0.5)));
  EXPECT_TRUE(std::isnan(percentile({}, 0.5)));
  const ClusteredValues values({{1, kNan}, {}, {5}});
  EXPECT_EQ(values.size(), 2);
  EXPECT_TRUE(std::isnan(values.percentile(0.5, {0, 4, 0})));
  EXPECT_EQ(values.percentile(0.5, {0, 4, 1}), 5);
}

}  // namespace
}  // namespace shardrift::statistics
