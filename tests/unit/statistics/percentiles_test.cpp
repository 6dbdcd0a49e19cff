#include "analysis/statistics/percentiles.hpp"

#include <cmath>
#include <limits>

#include "analysis/statistics/random.hpp"
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

// Blocks change nothing: every percentile is that of the rows written out.
TEST(Percentiles, OfManyRows) {
  Random random(6);
  testing::Rows rows(30);
  for (auto& row : rows)
    for (auto i = random.below(200); i > 0; --i) row.push_back(static_cast<double>(random.below(500)));
  const ClusteredValues values(rows);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<std::uint32_t> drawn(rows.size());
    for (std::size_t j = 0; j < rows.size(); ++j) ++drawn[random.below(rows.size())];
    std::vector<double> written;
    for (std::size_t j = 0; j < rows.size(); ++j)
      for (std::uint32_t times = 0; times < drawn[j]; ++times)
        written.insert(written.end(), rows[j].begin(), rows[j].end());
    for (const double p : {0.0, 0.013, 0.5, 0.9, 0.99, 1.0})
      EXPECT_EQ(values.percentile(p, drawn), percentile(written, p));
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
