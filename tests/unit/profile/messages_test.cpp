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
  EXPECT_THAT(messages_of(plan, 10, {3, 7, 4, 4, 1, 2, 6}, true).eager, ElementsAre(10, 50, 80, 100));
  EXPECT_THAT(messages_of(plan, 10, {3, 7, 4, 4, 1, 2, 6}, false).eager, ElementsAre(10, 80, 100));
}

TEST(Messages, OnePrefillALengthAndOneDecodePass) {
  Plan plan;
  plan.batch = 4;
  EXPECT_THAT(messages_of(plan, 10, {3, 7}, true).eager, ElementsAre(30, 40, 70));
  EXPECT_THAT(messages_of(plan, 10, {3, 7}, false).eager, ElementsAre(30, 70));
  EXPECT_THAT(messages_of(plan, 10, {4}, true).eager, ElementsAre(40));
  EXPECT_THAT(messages_of(plan, 10, {4}, true).captured, ElementsAre());
  EXPECT_EQ(messages_of(plan, 10, {3, 7}, true).largest(), 70);
  EXPECT_EQ(Messages().largest(), 0);
}

// Prefill of as many rows is another message than a captured decode pass.
TEST(Messages, ACapturedPlanCapturesDecodePassesAlone) {
  Plan plan;
  plan.batch = 4;
  plan.launch = Launch::captured;
  const auto messages = messages_of(plan, 10, {3, 4}, true);
  EXPECT_THAT(messages.eager, ElementsAre(30, 40));
  EXPECT_THAT(messages.captured, ElementsAre(40));
  EXPECT_EQ(messages_of(plan, 10, {3}, true).largest(), 40);
  EXPECT_THAT(messages_of(plan, 10, {3, 4}, false).captured, ElementsAre());
  plan.row_linear = RowLinear::scatter;
  EXPECT_THAT(called(plan, {{1001}, {1002}}).captured, ElementsAre(called_count(plan, 1002)));
}

TEST(Messages, AScatteredSumIsCalledWithThePaddedMessage) {
  Plan plan;
  plan.shards = 3;
  EXPECT_EQ(operation_of(plan), CollectiveOperation::all_reduce);
  EXPECT_THAT(called(plan, {{1000, 1001}, {}}).eager, ElementsAre(1000, 1001));
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
