// Conversions against the compiler's own arithmetic, over every 16-bit pattern; hops of 16-bit sums.
#include "common/dtype.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "parallel/reduction/narrow_sum.hpp"

namespace shardrift {
namespace {

TEST(DType, EveryFloat16PatternSurvivesARoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto word = static_cast<std::uint16_t>(bits);
    const float value = float_from_float16(word);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(float_from_float16(float16_from_float(value))));
    } else {
      ASSERT_EQ(float16_from_float(value), word) << std::hex << bits;
    }
  }
}

TEST(DType, EveryBfloat16PatternSurvivesARoundTrip) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto word = static_cast<std::uint16_t>(bits);
    const float value = float_from_bfloat16(word);
    if (!std::isnan(value)) {
      ASSERT_EQ(bfloat16_from_float(value), word) << std::hex << bits;
    }
  }
}

TEST(DType, NarrowingRoundsToNearestEven) {
  // Every midpoint between neighbours goes to the even one, and a hair beside it to the nearer one.
  for (std::uint16_t word = 0; word < 0x7BFF; ++word) {  // finite positive float16
    const double low = float_from_float16(word);
    const double high = float_from_float16(static_cast<std::uint16_t>(word + 1));
    const auto middle = static_cast<float>((low + high) / 2);  // exact: one more bit than float16 has
    const std::uint16_t even = word % 2 == 0 ? word : static_cast<std::uint16_t>(word + 1);
    ASSERT_EQ(float16_from_float(middle), even) << std::hex << word;
    ASSERT_EQ(float16_from_float(std::nextafter(middle, 1e9F)), word + 1) << std::hex << word;
    ASSERT_EQ(float16_from_float(std::nextafter(middle, 0.0F)), word) << std::hex << word;
  }
  EXPECT_EQ(float16_from_float(65520.0F), 0x7C00);  // halfway past the largest: infinity
  EXPECT_EQ(bfloat16_from_float(std::bit_cast<float>(0x3F808000U)), 0x3F80);
  EXPECT_EQ(bfloat16_from_float(std::bit_cast<float>(0x3F818000U)), 0x3F82);
}

TEST(NarrowSum, RoundsAtEveryHop) {
  // 256 + 1 is 256 in bfloat16 (8 bits), so the order shows.
  const std::uint16_t one = bfloat16_from_float(1.0F);
  std::uint16_t sum = bfloat16_from_float(256.0F);
  add_bfloat16(&one, &sum, 1);
  EXPECT_EQ(float_from_bfloat16(sum), 256.0F);
  std::uint16_t small = one;
  add_bfloat16(&one, &small, 1);
  EXPECT_EQ(float_from_bfloat16(small), 2.0F);
  const std::uint16_t negative_zero = 0x8000;
  std::uint16_t other = 0x8000;
  add_float16(&negative_zero, &other, 1);
  EXPECT_EQ(other, 0x8000);
}

}  // namespace
}  // namespace shardrift
