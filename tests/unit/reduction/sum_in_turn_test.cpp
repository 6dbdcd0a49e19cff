// The sums of our own collectives against the scalar reference.
#include "parallel/reduction/sum_in_turn.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

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
