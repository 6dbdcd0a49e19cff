#include "parallel/plan/dealing.hpp"

#include <gmock/gmock.h>

namespace shardrift {
namespace {

using ::testing::ElementsAre;

TEST(Deal, FirstPartsGetOneMore) {
  EXPECT_EQ(deal(10, 4, 0), (Range{0, 3}));
  EXPECT_EQ(deal(10, 4, 1), (Range{3, 6}));
  EXPECT_EQ(deal(10, 4, 2), (Range{6, 8}));
  EXPECT_EQ(deal(10, 4, 3), (Range{8, 10}));
}

TEST(Deal, CoversEverythingOnceInOrder) {
  for (std::int64_t n = 0; n < 70; ++n) {
    for (int parts = 1; parts <= 64; ++parts) {
      std::int64_t next = 0;
      for (int part = 0; part < parts; ++part) {
        const Range range = deal(n, parts, part);
        ASSERT_EQ(range.begin, next);
        ASSERT_GE(range.end, range.begin);
        next = range.end;
      }
      ASSERT_EQ(next, n);
    }
  }
}

TEST(DealColumns, BlocksOf64WithAShortLastOne) {
  // 200 columns in 3 shards: 4 blocks (64, 64, 64, 8) dealt 2, 1, 1
  EXPECT_EQ(deal_columns(200, 3, 0), (Range{0, 128}));
  EXPECT_EQ(deal_columns(200, 3, 1), (Range{128, 192}));
  EXPECT_EQ(deal_columns(200, 3, 2), (Range{192, 200}));
}

TEST(DealColumns, SingleColumnsWhereBlocksWouldNotReach) {
  EXPECT_EQ(deal_columns(200, 4, 0), (Range{0, 50}));  // 200 < 64 · 4
  EXPECT_EQ(deal_columns(11008, 4, 3), (Range{8256, 11008}));
}

TEST(DealHeads, NineQueryAndThreeKvHeadsOverTwoThreeAndFourShards) {
  const auto first = deal_heads(9, 3, 2, 0);
  EXPECT_EQ(first.query, (Range{0, 5}));
  EXPECT_EQ(first.kv, (Range{0, 2}));
  EXPECT_THAT(first.local_kv, ElementsAre(0, 0, 0, 1, 1));
  const auto second = deal_heads(9, 3, 2, 1);
  EXPECT_EQ(second.query, (Range{5, 9}));
  EXPECT_EQ(second.kv, (Range{1, 3}));  // KV head 1 belongs to both shards
  EXPECT_THAT(second.local_kv, ElementsAre(0, 1, 1, 1));

  for (int s = 0; s < 3; ++s) EXPECT_EQ(deal_heads(9, 3, 3, s).kv, (Range{s, s + 1}));

  EXPECT_EQ(deal_heads(9, 3, 4, 0).query, (Range{0, 3}));
  EXPECT_EQ(deal_heads(9, 3, 4, 1).query, (Range{3, 5}));
  EXPECT_EQ(deal_heads(9, 3, 4, 2).kv, (Range{1, 3}));  // query heads 5, 6
  EXPECT_THAT(deal_heads(9, 3, 4, 2).local_kv, ElementsAre(0, 1));
}

TEST(DealHeads, ShardsMayBeEmpty) {
  const auto share = deal_heads(9, 3, 32, 20);
  EXPECT_TRUE(share.query.empty());
  EXPECT_TRUE(share.kv.empty());
  EXPECT_TRUE(share.local_kv.empty());
}

TEST(DealVocabulary, OneWidthAndAnOwnerForEveryToken) {
  for (const std::int64_t vocabulary : {1, 7, 63, 64, 259, 49152}) {
    for (const int parts : {1, 2, 3, 4, 7, 64}) {
      for (std::int64_t token = 0; token<vocabulary; token += vocabulary> 1000 ? 97 : 1) {
        const int owner = vocabulary_owner(vocabulary, parts, token);
        const auto share = deal_vocabulary(vocabulary, parts, owner);
        ASSERT_TRUE(share.rows.contains(token))
            << vocabulary << " tokens, " << parts << " shards, token " << token;
        ASSERT_LE(share.rows.size(), share.width);
      }
    }
  }
  EXPECT_EQ(deal_vocabulary(259, 4, 3).width, 65);
}

}  // namespace
}  // namespace shardrift
