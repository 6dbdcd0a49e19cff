// Which rows are told to be logits, probabilities and log-probabilities, in every stored dtype.
#include "record/row_kind.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/stored_rows.hpp"

namespace shardrift::record {
namespace {

using shardrift::testing::kDTypes;
using shardrift::testing::row_of;

std::vector<double> logits_of(std::size_t count, double size, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> row(count);
  for (double& value : row) value = size * normal(random);
  return row;
}

std::vector<double> log_softmax(std::vector<double> row) {
  double sum = 0;
  for (const double value : row) sum += std::exp(value);
  for (double& value : row) value -= std::log(sum);
  return row;
}

std::vector<double> exponentials(std::vector<double> row) {
  for (double& value : row) value = std::exp(value);
  return row;
}

RowKind kind_of(const std::vector<std::vector<double>>& rows, DType dtype) {
  KindOfRows kinds(dtype);
  for (const auto& row : rows) kinds.add(row_of(row, dtype));
  return kinds.kind();
}

TEST(RowKind, WhateverTheDtypeAndTheVocabulary) {
  for (const auto dtype : kDTypes)
    for (const std::size_t count : {2, 13, 5000, 150000})
      for (const double size : {0.1, 2.0, 6.0}) {
        SCOPED_TRACE(::testing::Message() << name_of(dtype) << " " << count << " " << size);
        const auto logits = logits_of(count, size, 7);
        const auto log = log_softmax(logits);
        EXPECT_EQ(kind_of({log, log_softmax(logits_of(count, size, 8))}, dtype), RowKind::log_probabilities);
        EXPECT_EQ(kind_of({exponentials(log)}, dtype), RowKind::probabilities);
        EXPECT_EQ(kind_of({logits}, dtype), RowKind::logits);
      }
}

TEST(RowKind, AllRowsHaveToBeSo) {
  const auto log = log_softmax(logits_of(50, 2, 1));
  const auto logits = logits_of(50, 2, 2);
  EXPECT_EQ(kind_of({log, logits}, DType::float32), RowKind::logits);
  EXPECT_EQ(kind_of({logits, log, log}, DType::float32), RowKind::logits);
  EXPECT_EQ(kind_of({log, exponentials(log)}, DType::float32), RowKind::logits);
  EXPECT_EQ(kind_of({exponentials(log), log}, DType::float32), RowKind::logits);
  EXPECT_EQ(kind_of({}, DType::float32), RowKind::logits);
}

// Written by hand, as the tests of other parts do: no softmax gives a 1 beside zeros in every row.
TEST(RowKind, OneAndZerosAloneAreLogits) {
  EXPECT_EQ(kind_of({{1, 0, 0}, {0, 1, 0}}, DType::float32), RowKind::logits);
  EXPECT_EQ(kind_of({{1, 0, 0}, {0, 0.5, 0.5}}, DType::float32), RowKind::probabilities);
  EXPECT_EQ(kind_of({{0.5, 0.5, 0}, {0, 1, 0}}, DType::float32), RowKind::probabilities);
}

// Logits whose partition is near 1 and not 1, as models trained to keep it there have them.
TEST(RowKind, LogitsNearALogSoftmaxAreLogits) {
  for (const double away : {0.003, -0.003, 0.1}) {
    auto row = log_softmax(logits_of(1000, 2, 3));
    for (double& value : row) value += away;
    EXPECT_EQ(kind_of({row}, DType::float32), RowKind::logits) << away;
    EXPECT_EQ(kind_of({exponentials(row)}, DType::float32), RowKind::logits) << away;
  }
  EXPECT_EQ(kind_of({{0.0}}, DType::float32), RowKind::logits);  // a vocabulary of one
}

}  // namespace
}  // namespace shardrift::record
