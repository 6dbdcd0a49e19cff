// The sums of our own collectives against the scalar reference.
#include "parallel/reduction/sum_in_turn.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <random>

#include "parallel/reduction/narrow_floats.hpp"
#include "parallel/reduction/narrow_sum.hpp"
#include "parallel/reduction/scalar_fold.hpp"

namespace shardrift {
namespace {

// Any words, subnormals, infinities and NaN included. A NaN's payload is free: where the reference has one,
// so has the sum.
bool is_nan(const std::byte* at, DType dtype) {
  std::uint16_t half = 0;
  std::memcpy(&half, at, sizeof half);
  if (dtype == DType::bfloat16) return std::isnan(float_from_bfloat16(half));
  if (dtype == DType::float16) return std::isnan(float_from_float16(half));
  float single = 0;
  double wide = 0;
  std::memcpy(&single, at, sizeof single);
  if (dtype == DType::float32) return std::isnan(single);
  std::memcpy(&wide, at, sizeof wide);
  return std::isnan(wide);
}

// Every 16-bit word, and floats around every rounding: the conversions of loops are those of single numbers.
TEST(NarrowFloats, AreThoseOfTheDTypes) {
  const auto rounds_alike = [](float value) {
    BFloat16 brain{};
    Float16 half{};
    round_to(value, brain);
    round_to(value, half);
    EXPECT_EQ(brain.bits, bfloat16_from_float(value)) << value;
    EXPECT_EQ(half.bits, float16_from_float(value)) << value;
  };
  for (std::uint32_t word = 0; word < 0x10000U; ++word) {
    const auto bits = static_cast<std::uint16_t>(word);
    const float half = widened(Float16{bits});
    const float brain = widened(BFloat16{bits});
    EXPECT_EQ(std::bit_cast<std::uint32_t>(half), std::bit_cast<std::uint32_t>(float_from_float16(bits)));
    EXPECT_EQ(std::bit_cast<std::uint32_t>(brain), std::bit_cast<std::uint32_t>(float_from_bfloat16(bits)));
    for (const float value : {half, brain}) {
      const auto around = std::bit_cast<std::uint32_t>(value);
      for (const std::uint32_t step : {0U, 1U, 0xFFFU, 0x1000U, 0x1001U, 0x7FFFU, 0x8000U, 0x8001U})
        rounds_alike(std::bit_cast<float>(around + step));
    }
  }
}

// What a collective's hop adds, word by word.
TEST(NarrowFloats, AddedAreRoundedOnce) {
  std::mt19937 random(3);
  std::vector<std::uint16_t> in(5000);
  std::vector<std::uint16_t> inout(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) {
    in[i] = static_cast<std::uint16_t>(random());
    inout[i] = static_cast<std::uint16_t>(random());
  }
  auto halves = inout;
  auto brains = inout;
  const auto count = static_cast<std::int64_t>(in.size());
  add_float16(in.data(), halves.data(), count);
  add_bfloat16(in.data(), brains.data(), count);
  const auto same = [](float sum, std::uint16_t bits, std::uint16_t expected) {
    return std::isnan(sum) || bits == expected;
  };
  for (std::size_t i = 0; i < in.size(); ++i) {
    const float half = float_from_float16(in[i]) + float_from_float16(inout[i]);
    const float brain = float_from_bfloat16(in[i]) + float_from_bfloat16(inout[i]);
    EXPECT_TRUE(same(half, halves[i], float16_from_float(half))) << i;
    EXPECT_TRUE(same(brain, brains[i], bfloat16_from_float(brain))) << i;
  }
}

TEST(SumInTurn, HasTheBitsOfTheFold) {
  std::mt19937 random(7);
  for (const DType dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16})
    for (const int ranks : {1, 2, 3, 4, 8})
      for (const std::int64_t count : {1, 7, 1023, 1024, 1025, 5000}) {
        const std::size_t size = size_of(dtype);
        const std::size_t bytes = size * static_cast<std::size_t>(count);
        std::vector<std::byte> partials(bytes * static_cast<std::size_t>(ranks));
        for (auto& byte : partials) byte = static_cast<std::byte>(random());
        std::vector<const void*> messages;
        for (int rank = 0; rank < ranks; ++rank)
          messages.push_back(&partials[bytes * static_cast<std::size_t>(rank)]);
        std::vector<std::byte> folded(bytes);
        const auto accumulator = size == 2 ? Accumulator::float32 : Accumulator::message;
        scalar_fold(partials.data(), bytes, dtype, uniform_map(linear_tree(ranks), count), accumulator,
                    folded.data(), dtype);
        std::vector<std::byte> sum(bytes);
        sum_in_turn(messages, count, dtype, sum.data());
        for (std::size_t at = 0; at < bytes; at += size) {
          if (is_nan(&folded[at], dtype)) {
            ASSERT_TRUE(is_nan(&sum[at], dtype)) << at;
          } else {
            ASSERT_EQ(std::memcmp(&sum[at], &folded[at], size), 0) << name_of(dtype) << " " << at;
          }
        }
        // In place of one of the messages.
        std::memcpy(sum.data(), messages.back(), bytes);
        messages.back() = sum.data();
        sum_in_turn(messages, count, dtype, sum.data());
        for (std::size_t at = 0; at < bytes; at += size) {
          if (!is_nan(&folded[at], dtype)) {
            ASSERT_EQ(std::memcmp(&sum[at], &folded[at], size), 0) << at;
          }
        }
      }
}

}  // namespace
}  // namespace shardrift
