// Chosen numbers through sums whose order is known.
#include "parallel/probe/given_sum.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/error.hpp"
#include "parallel/reduction/scalar_fold.hpp"
#include "tests/support/test_sums.hpp"

namespace shardrift {
namespace {

using ::testing::ElementsAre;

ProbedSum fold_of(const OrderMap& map, DType dtype) {
  return testing::local_sum(
      map.shards(),
      [=](const void* partials, std::size_t stride, void* out) {
        scalar_fold(partials, stride, dtype, map, Accumulator::message, out, dtype);
      },
      map.count, dtype);
}

// One half adds (0+1)+2, the other (1+2)+0: the same numbers, other sums.
TEST(GivenSum, ShowsWhereTheOrderChanges) {
  OrderMapBuilder builder(10);
  builder.append(6, tree_from_string("(0+1)+2"));
  builder.append(4, tree_from_string("(1+2)+0"));
  const auto map = builder.finish();
  for (const auto& [dtype, large] : {std::pair{DType::float32, 1e8},
                                     {DType::bfloat16, 4096.0},
                                     {DType::float16, 4096.0},
                                     {DType::float64, 1e17}}) {
    const auto sums = given_sums(3, 10, dtype, fold_of(map, dtype), {large, -large, 1});
    ASSERT_EQ(sums.size(), 3U);
    EXPECT_THAT(sums[0].given, ElementsAre(large, -large, 1));
    EXPECT_THAT(sums[0].segments, ElementsAre(ValueSegment{0, 6, 1}, ValueSegment{6, 10, 0}));
    EXPECT_THAT(sums[1].given, ElementsAre(1, large, -large));
    EXPECT_THAT(sums[1].segments, ElementsAre(ValueSegment{0, 6, 0}, ValueSegment{6, 10, 1}));
    EXPECT_THAT(sums[2].segments, ElementsAre(ValueSegment{0, 10, 0}));
  }
  const auto sums = given_sums(3, 10, DType::bfloat16, fold_of(map, DType::bfloat16), {4096, -4096, 1});
  EXPECT_EQ(describe({sums[0]}, 8), "  4096 -4096 1: [0, 6) 1 / [6, 10) 0\n");
  EXPECT_EQ(describe({sums[0]}, 1), "  4096 -4096 1: [0, 6) 1 / … 2 segments in all\n");
}

TEST(GivenSum, RanksBeyondTheNumbersGiveNothing) {
  const auto map = uniform_map(tree_from_string("((0+1)+2)+3"), 2);
  const auto sums = given_sums(4, 2, DType::float32, fold_of(map, DType::float32), {1e8, -1e8, 1});
  ASSERT_EQ(sums.size(), 4U);
  EXPECT_THAT(sums[3].given, ElementsAre(-1e8, 1, 0, 1e8));
  EXPECT_THAT(sums[3].segments, ElementsAre(ValueSegment{0, 2, 0}));
}

TEST(GivenSum, NumbersThatAreNoneAreRefused) {
  EXPECT_TRUE(is_in(1e8, DType::float32));
  EXPECT_FALSE(is_in(1e8, DType::bfloat16));
  EXPECT_FALSE(is_in(1e8, DType::float16));
  EXPECT_FALSE(is_in(0.1, DType::float32));
  EXPECT_TRUE(is_in(0.1, DType::float64));
  EXPECT_FALSE(is_in(INFINITY, DType::float32));
  EXPECT_THROW(check_numbers({1}, 3, DType::float32), Error);
  EXPECT_THROW(check_numbers({1, 2, 3, 4}, 3, DType::float32), Error);
  EXPECT_THROW(check_numbers({0.1, 2}, 3, DType::float32), Error);
}

}  // namespace
}  // namespace shardrift
