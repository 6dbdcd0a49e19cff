// The most likely tokens of a row against a plain sort and sum, in every stored dtype.
#include "record/row_top.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "tests/support/stored_rows.hpp"

namespace shardrift::record {
namespace {

using shardrift::testing::kDTypes;
using shardrift::testing::row_of;
using shardrift::testing::value_of;

struct Top {
  std::vector<std::int32_t> ids;
  std::vector<float> log_probabilities;
};

Top top(std::span<const std::byte> row, DType dtype, std::size_t k) {
  Top found{std::vector<std::int32_t>(k), std::vector<float>(k)};
  top_of(row, dtype, found.ids, found.log_probabilities);
  return found;
}

void expect_plain(const std::vector<std::byte>& row, DType dtype, std::size_t k) {
  std::vector<double> values(row.size() / size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = value_of(row.data() + i * size_of(dtype), dtype);
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const auto value = [&](std::int32_t id) { return values[static_cast<std::size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return value(a) > value(b); });
  double sum = 0;
  for (const double one : values) sum += std::exp(one - value(order[0]));
  const auto found = top(row, dtype, k);
  for (std::size_t i = 0; i < k; ++i) {
    ASSERT_EQ(found.ids[i], order[i]) << name_of(dtype) << " " << i;
    const double expected = value(order[i]) - (value(order[0]) + std::log(sum));
    ASSERT_NEAR(found.log_probabilities[i], expected, std::abs(expected) * 1e-7 + 1e-12) << name_of(dtype);
  }
}

TEST(RowTop, HoldsLogProbabilities) {
  const auto row = row_of({0, std::log(2.0), std::log(5.0), std::log(2.0)}, DType::float64);
  const auto found = top(row, DType::float64, 2);
  EXPECT_EQ(found.ids, (std::vector<std::int32_t>{2, 1}));
  EXPECT_FLOAT_EQ(found.log_probabilities[0], std::log(0.5F));
  EXPECT_FLOAT_EQ(found.log_probabilities[1], std::log(0.2F));
}

TEST(RowTop, IsThePlainSortAndSum) {
  std::mt19937 random(11);
  for (const auto dtype : kDTypes)
    for (const std::size_t count : {1U, 8U, 63U, 511U, 512U, 513U, 5000U})
      for (const std::size_t k : {1U, 10U, 64U, 65U, 500U})
        for (const double scale : {1.0, 40.0, 3000.0}) {
          if (k > count) continue;
          std::vector<double> values(count);
          for (auto& value : values) value = scale * (static_cast<double>(random() % 600) / 64 - 8);  // ties
          expect_plain(row_of(values, dtype), dtype, k);
        }
}

TEST(RowTop, OfRisingFallingAndEqualRows) {
  for (const auto dtype : kDTypes)
    for (const double step : {-0.25, 0.0, 0.25}) {
      std::vector<double> values(3000);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = step * static_cast<double>(i % 2000);
      expect_plain(row_of(values, dtype), dtype, 10);
    }
}

TEST(RowTop, BothZerosAreOneValue) {
  for (const auto dtype : kDTypes) {
    const auto found = top(row_of({-1, -0.0, 0.0, -0.0}, dtype), dtype, 3);
    EXPECT_EQ(found.ids, (std::vector<std::int32_t>{1, 2, 3})) << name_of(dtype);
  }
}

TEST(RowTop, OfTheSmallestHalves) {
  const std::vector<double> tiny{0x1p-24, 0x1p-23, 3 * 0x1p-24, -0x1p-24};
  expect_plain(row_of(tiny, DType::float16), DType::float16, 4);
}

TEST(RowTop, OfUnalignedRows) {
  for (const auto dtype : kDTypes) {
    const auto row = row_of({1, 4, 2, 8, 5, 7}, dtype);
    std::vector<std::byte> shifted(row.size() + 1);
    std::copy(row.begin(), row.end(), shifted.begin() + 1);
    EXPECT_EQ(top(std::span(shifted).subspan(1), dtype, 3).ids, top(row, dtype, 3).ids);
  }
}

}  // namespace
}  // namespace shardrift::record
