#include "parallel/reduction/order_map.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"

namespace shardrift {
namespace {

using ::testing::HasSubstr;

OrderMap ring(std::int64_t chunk) {
  OrderMapBuilder builder(4 * chunk);
  for (int c = 0; c < 4; ++c) builder.append(chunk, ring_tree(4, c));
  return builder.finish();
}

TEST(OrderMap, NeighboursWithOneTreeAreJoined) {
  OrderMapBuilder builder(10);
  builder.append(2, linear_tree(4));
  builder.append(0, chain_tree(4));
  builder.append(3, tree_from_string("3+(2+(1+0))"));  // linear, written otherwise
  builder.append(1, chain_tree(4));
  builder.append(4, linear_tree(4));
  const OrderMap map = builder.finish();
  EXPECT_EQ(map.segments, (std::vector<OrderSegment>{{0, 5, 0}, {5, 6, 1}, {6, 10, 0}}));
  EXPECT_EQ(map.trees, (std::vector<SumTree>{linear_tree(4), chain_tree(4)}));
  EXPECT_EQ(map.shards(), 4);
  OrderMapBuilder pieces(10);
  for (int i = 0; i < 10; ++i) pieces.append(1, linear_tree(4));
  EXPECT_EQ(pieces.finish(), uniform_map(linear_tree(4), 10));
}

TEST(OrderMap, FirstDifference) {
  EXPECT_EQ(first_difference(ring(8), ring(8)), -1);
  EXPECT_EQ(first_difference(ring(8), uniform_map(linear_tree(4), 32)), 0);
  EXPECT_EQ(first_difference(ring(8), uniform_map(ring_tree(4, 0), 32)), 8);
  OrderMapBuilder late(32);  // the same map with its trees met in another order
  late.append(31, linear_tree(4));
  late.append(1, chain_tree(4));
  EXPECT_EQ(first_difference(late.finish(), uniform_map(linear_tree(4), 32)), 31);
  EXPECT_THROW(first_difference(ring(8), ring(9)), Error);
  EXPECT_EQ(first_difference(uniform_map(linear_tree(2), 0), uniform_map(linear_tree(2), 0)), -1);
}

TEST(OrderMap, DescribesItselfAndRefusesGapsAndMixtures) {
  EXPECT_THAT(describe(ring(8)), HasSubstr("[0, 8) ((1+2)+3)+0 / [8, 16) ((2+3)+0)+1 / "));
  EXPECT_THAT(describe(ring(8), 1), HasSubstr("4 segments in all"));
  OrderMapBuilder shorter(4);
  shorter.append(3, linear_tree(2));
  EXPECT_THROW(shorter.append(2, linear_tree(2)), Error);
  EXPECT_THROW(shorter.append(1, linear_tree(3)), Error);
  EXPECT_THROW(shorter.finish(), Error);
}

}  // namespace
}  // namespace shardrift
