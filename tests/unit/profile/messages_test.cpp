#include "parallel/profile/messages.hpp"

#include <gmock/gmock.h>

namespace shardrift {
namespace {

using testing::ElementsAre;

TEST(Messages, APrefillPassHasTheRowsOfAllItsPrompts) {
  Plan plan;
  plan.batch = 5;
  plan.prefill_batch = 2;
  // 3 + 7, 4 + 4, 1 of the first group; 2 + 6 of the second
  EXPECT_THAT(message_counts(plan, 10, {3, 7, 4, 4, 1, 2, 6}, true), ElementsAre(10, 50, 80, 100));
  EXPECT_THAT(message_counts(plan, 10, {3, 7, 4, 4, 1, 2, 6}, false), ElementsAre(10, 80, 100));
}

TEST(Messages, OnePrefillALengthAndOneDecodePass) {
  Plan plan;
  plan.batch = 4;
  EXPECT_THAT(message_counts(plan, 10, {3, 7}, true), ElementsAre(30, 40, 70));
  EXPECT_THAT(message_counts(plan, 10, {3, 7}, false), ElementsAre(30, 70));
  EXPECT_THAT(message_counts(plan, 10, {4}, true), ElementsAre(40));
}

TEST(Messages, AScatteredSumIsCalledWithThePaddedMessage) {
  Plan plan;
  plan.shards = 3;
  EXPECT_EQ(operation_of(plan), CollectiveOperation::all_reduce);
  EXPECT_THAT(called_counts(plan, {1000, 1001}), ElementsAre(1000, 1001));
  plan.row_linear = RowLinear::scatter;
  EXPECT_EQ(operation_of(plan), CollectiveOperation::reduce_scatter);
  for (const std::int64_t count : {1, 1000, 1001}) {
    EXPECT_EQ(called_count(plan, count), padded_count(count, DType::float32, 3));
    EXPECT_GE(called_count(plan, count), count);
    EXPECT_EQ(called_count(plan, count) % 3, 0);
  }
  plan.dtype = DType::tf32;  // stored as float32
  EXPECT_EQ(called_count(plan, 1000), padded_count(1000, DType::float32, 3));
}

}  // namespace
}  // namespace shardrift
