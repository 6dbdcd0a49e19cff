// Our own collectives' orders as such; tests/integration/peer_sum_test.cpp holds the live ones to them.
#include "parallel/order_models/peer_order.hpp"

#include <gtest/gtest.h>

#include "common/error.hpp"

namespace shardrift {
namespace {

std::string text(Collective collective, std::int64_t count, DType dtype, int ranks) {
  return describe(peer_map(collective, count, dtype, ranks));
}

TEST(PeerOrder, OneShotAddsInRankOrder) {
  EXPECT_EQ(text(Collective::one_shot, 9, DType::bfloat16, 4), "[0, 9) ((0+1)+2)+3");
  EXPECT_EQ(text(Collective::one_shot, 1, DType::float64, 2), "[0, 1) 0+1");
}

TEST(PeerOrder, TwoShotStartsEveryPartAtItsOwner) {
  EXPECT_EQ(text(Collective::two_shot, 64, DType::bfloat16, 4),
            "[0, 16) ((0+1)+2)+3 / [16, 32) ((1+2)+3)+0 / [32, 48) ((2+3)+0)+1 / [48, 64) ((0+3)+1)+2");
  // Five units of 8 elements, the last short: two for each of the first two ranks.
  EXPECT_EQ(text(Collective::two_shot, 33, DType::float16, 3),
            "[0, 16) (0+1)+2 / [16, 32) (1+2)+0 / [32, 33) (0+2)+1");
  // Less than a unit for every rank.
  EXPECT_EQ(text(Collective::two_shot, 7, DType::float32, 4), "[0, 4) ((0+1)+2)+3 / [4, 7) ((1+2)+3)+0");
  EXPECT_EQ(text(Collective::two_shot, 1, DType::float32, 4), "[0, 1) ((0+1)+2)+3");
}

TEST(PeerOrder, PartsCoverTheMessageAndBeginAtSixteenBytes) {
  for (const DType dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16})
    for (int ranks = 1; ranks <= 8; ++ranks)
      for (const std::int64_t count : {1, 2, 7, 8, 9, 63, 64, 65, 1000, 4096}) {
        std::int64_t next = 0;
        for (int rank = 0; rank < ranks; ++rank) {
          const auto part = two_shot_part(count, dtype, ranks, rank);
          EXPECT_EQ(part.begin, next);
          EXPECT_GE(part.size(), 0);
          if (part.size() > 0) {
            EXPECT_EQ(part.begin * static_cast<std::int64_t>(size_of(dtype)) % 16, 0);
          }
          next = part.end;
        }
        EXPECT_EQ(next, count) << ranks << " " << name_of(dtype);
      }
}

TEST(PeerOrder, SixteenBitMessagesAreAddedInFloat32) {
  EXPECT_EQ(peer_accumulator(DType::bfloat16), Accumulator::float32);
  EXPECT_EQ(peer_accumulator(DType::float16), Accumulator::float32);
  EXPECT_EQ(peer_accumulator(DType::float32), Accumulator::message);
  EXPECT_EQ(peer_accumulator(DType::float64), Accumulator::message);
}

TEST(PeerOrder, Refusals) {
  EXPECT_THROW(peer_map(Collective::one_shot, 4, DType::float32, 1), Error);
  EXPECT_THROW(peer_map(Collective::one_shot, 4, DType::float32, 65), Error);
  EXPECT_THROW(peer_map(Collective::two_shot, 0, DType::float32, 2), Error);
  EXPECT_THROW(peer_map(Collective::library, 4, DType::float32, 2), Error);
}

}  // namespace
}  // namespace shardrift
