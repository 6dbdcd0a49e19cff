// Sketches: linear in the row, and as far apart as the rows are.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "common/sketch.hpp"

namespace shardrift {
namespace {

std::vector<double> sketch_of(const std::vector<float>& row, std::int64_t index = 0) {
  std::vector<double> sketches(kSketches, 0);
  add_to_sketch(reinterpret_cast<const std::byte*>(row.data()), static_cast<std::int64_t>(row.size()),
                DType::float32, index, sketches.data());
  return sketches;
}

std::vector<float> random_row(std::mt19937& random, std::size_t size) {
  std::vector<float> row(size);
  for (auto& value : row) value = std::normal_distribution<float>()(random);
  return row;
}

TEST(Sketch, OfPartsAddsUpToTheWhole) {
  std::mt19937 random(1);
  const auto row = random_row(random, 300);
  auto parts = sketch_of({row.begin(), row.begin() + 101});
  const auto rest = sketch_of({row.begin() + 101, row.end()}, 101);
  for (int k = 0; k < kSketches; ++k) EXPECT_NEAR(parts[k] + rest[k], sketch_of(row)[k], 1e-12);
  // The control: other columns have other signs.
  EXPECT_NE(sketch_of(row, 1), sketch_of(row));
}

TEST(Sketch, TellsTheDistance) {
  std::mt19937 random(2);
  constexpr int kRows = 200;
  double ratios = 0;
  for (int i = 0; i < kRows; ++i) {
    // Differences in one column, in some, and in all.
    const auto x = random_row(random, 64);
    auto y = x;
    const std::size_t changed = i % 3 == 0 ? 1 : i % 3 == 1 ? 5 : 64;
    double wanted = 0;
    for (std::size_t j = 0; j < changed; ++j) {
      y[j] += 0.25F * static_cast<float>(j + 1);
      wanted += std::pow(static_cast<double>(y[j]) - static_cast<double>(x[j]), 2);
    }
    const auto of_x = sketch_of(x, 1000 * i);  // other columns, other signs
    const auto of_y = sketch_of(y, 1000 * i);
    double estimate = 0;
    for (int k = 0; k < kSketches; ++k) estimate += (of_y[k] - of_x[k]) * (of_y[k] - of_x[k]) / kSketches;
    ratios += estimate / wanted;
    EXPECT_LT(estimate / wanted, 6);
    EXPECT_GT(estimate, 0);
  }
  EXPECT_NEAR(ratios / kRows, 1, 0.15);
}

TEST(Sketch, ReadsEveryDtype) {
  const std::vector<float> row{1, -2, 0.5F, 4};
  std::vector<std::uint16_t> narrow;
  for (const float value : row) narrow.push_back(bfloat16_from_float(value));
  std::vector<double> sketches(kSketches, 0);
  add_to_sketch(reinterpret_cast<const std::byte*>(narrow.data()), 4, DType::bfloat16, 0, sketches.data());
  EXPECT_EQ(sketches, sketch_of(row));
  const std::vector<double> wide(row.begin(), row.end());
  sketches.assign(kSketches, 0);
  add_to_sketch(reinterpret_cast<const std::byte*>(wide.data()), 4, DType::float64, 0, sketches.data());
  EXPECT_EQ(sketches, sketch_of(row));
}

}  // namespace
}  // namespace shardrift
