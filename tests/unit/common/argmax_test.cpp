// argmax against a plain loop: ties, both zeros, NaN and infinities wherever they stand, in every stored
// dtype.
#include "common/argmax.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/stored_rows.hpp"

namespace shardrift {
namespace {

using testing::kDTypes;
using testing::row_of;
using testing::value_of;

std::int32_t plainly(const std::vector<std::byte>& row, DType dtype) {
  std::int32_t best = -1;
  double highest = 0;
  for (std::size_t i = 0; i * size_of(dtype) < row.size(); ++i) {
    const double value = value_of(row.data() + i * size_of(dtype), dtype);
    if (std::isnan(value)) return -1;
    if (best >= 0 && !(value > highest)) continue;
    best = static_cast<std::int32_t>(i);
    highest = value;
  }
  return best;
}

TEST(Argmax, TiesZerosInfinitiesAndNaN) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::pair<std::vector<double>, std::int32_t>> cases{
      {{}, -1},
      {{-3}, 0},
      {{1, 3, 3, 2}, 1},
      {{-0.0, 0.0, -1}, 0},
      {{0.0, -0.0}, 0},
      {{-1, -0.0, 0.0}, 1},
      {{-inf, -inf}, 0},
      {{1, inf, inf}, 1},
      {{-5, -2, -2.5, -2}, 1},
      {{1, nan, 9}, -1},
      {{-nan, 1}, -1},
  };
  for (const auto dtype : kDTypes)
    for (std::size_t i = 0; i < cases.size(); ++i)
      EXPECT_EQ(argmax(row_of(cases[i].first, dtype), dtype), cases[i].second) << name_of(dtype) << " " << i;
}

TEST(Choose, SaysWhetherAllIsFinite) {
  const double inf = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const auto dtype : kDTypes) {
    EXPECT_TRUE(choose(row_of({}, dtype), dtype).finite);
    for (const std::size_t count : {1U, 2049U, 5000U})
      for (const std::size_t at : {std::size_t{0}, count / 2, count - 1}) {
        std::vector<double> values(count, -1);
        values[at] = 60000;  // near the largest half
        const auto fine = choose(row_of(values, dtype), dtype);
        EXPECT_TRUE(fine.finite);
        EXPECT_EQ(fine.token, static_cast<std::int32_t>(at));
        for (const double bad : {inf, -inf, nan, -nan}) {
          values[at] = bad;
          EXPECT_FALSE(choose(row_of(values, dtype), dtype).finite)
              << name_of(dtype) << " " << at << " " << bad;
        }
      }
  }
}

TEST(Argmax, OfRandomRowsIsThePlainLoops) {
  std::mt19937 random(5);
  for (const auto dtype : kDTypes)
    for (const std::size_t count : {1U, 7U, 2047U, 2048U, 2049U, 10'000U})
      for (int round = 0; round < 20; ++round) {
        std::vector<double> values(count);
        for (auto& value : values) value = static_cast<double>(random() % 1000) / 64 - 8;  // ties
        if (round % 5 == 4) values[random() % count] = std::numeric_limits<double>::quiet_NaN();
        const auto row = row_of(values, dtype);
        ASSERT_EQ(argmax(row, dtype), plainly(row, dtype)) << name_of(dtype) << " " << count;
      }
  // Every 16-bit word beside every other kind of neighbour.
  for (const auto dtype : {DType::float16, DType::bfloat16}) {
    std::vector<std::byte> row(3 * 2);
    for (std::uint32_t word = 0; word < 65536; ++word) {
      const std::array<std::uint16_t, 3> words{static_cast<std::uint16_t>(random()),
                                               static_cast<std::uint16_t>(word),
                                               static_cast<std::uint16_t>(word ^ 0x8000U)};
      std::memcpy(row.data(), words.data(), row.size());
      ASSERT_EQ(argmax(row, dtype), plainly(row, dtype)) << name_of(dtype) << " " << word;
    }
  }
}

}  // namespace
}  // namespace shardrift
