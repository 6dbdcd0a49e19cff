#include "worker/logits.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace shardrift {
namespace {

std::span<const std::byte> bytes_of(const std::vector<float>& row) {
  return std::as_bytes(std::span<const float>(row));
}

TEST(Logits, ArgmaxTakesTheLowestIdAtTies) {
  EXPECT_EQ(argmax(bytes_of({1, 3, 3, 2}), DType::float32), 1);
  EXPECT_EQ(argmax(bytes_of({-0.0F, 0.0F}), DType::float32), 0);
  const std::vector<std::uint16_t> row{bfloat16_from_float(1), bfloat16_from_float(20.0F),
                                       bfloat16_from_float(20.01F)};
  EXPECT_EQ(argmax(std::as_bytes(std::span<const std::uint16_t>(row)), DType::bfloat16),
            1);  // a tie in bfloat16
}

TEST(Logits, ArgmaxSeesNaNAnywhere) {
  EXPECT_EQ(argmax(bytes_of({1, 2, NAN}), DType::float32), -1);
  EXPECT_EQ(argmax(bytes_of({NAN, 2, 3}), DType::float32), -1);
}

TEST(Logits, TopHoldsLogProbabilities) {
  record::Top top;
  top.k = 2;
  append_top(bytes_of({0, std::log(2.0F), std::log(5.0F), std::log(2.0F)}), DType::float32, top);
  EXPECT_EQ(top.ids, (std::vector<std::int32_t>{2, 1}));
  EXPECT_NEAR(top.log_probabilities[0], std::log(0.5), 1e-6);
  EXPECT_NEAR(top.log_probabilities[1], std::log(0.2), 1e-6);
}

}  // namespace
}  // namespace shardrift
