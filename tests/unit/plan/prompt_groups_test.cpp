// Which prompts go through the model together: the same cut for the worker, estimates and predictions.
#include "parallel/plan/prompt_groups.hpp"

#include <gmock/gmock.h>

namespace shardrift {
namespace {

using testing::ElementsAre;

TEST(PromptGroups, AreConsecutiveAndTheLastMayBeShort) {
  Plan plan;
  EXPECT_THAT(prompt_groups(plan, 2), ElementsAre(Range{0, 1}, Range{1, 2}));
  EXPECT_THAT(prompt_groups(plan, 0), ElementsAre());
  plan.batch = 3;
  plan.replicas = 2;  // changes nothing
  EXPECT_THAT(prompt_groups(plan, 7), ElementsAre(Range{0, 3}, Range{3, 6}, Range{6, 7}));
}

TEST(PromptGroups, APrefillPassStaysInsideItsGroup) {
  Plan plan;
  plan.batch = 5;
  plan.prefill_batch = 2;
  EXPECT_THAT(prefill_passes(plan, 5), ElementsAre(Range{0, 2}, Range{2, 4}, Range{4, 5}));
  EXPECT_THAT(prefill_rows(plan, {10, 1, 10, 2, 10, 3, 10}), ElementsAre(10, 11, 12, 13));
  EXPECT_THAT(prefill_rows(plan, {}), ElementsAre());
}

// Score decodes nothing, so that --batch need not be given.
TEST(PromptGroups, APrefillBatchAloneIsAGroup) {
  Plan plan;
  plan.prefill_batch = 4;
  EXPECT_THAT(prompt_groups(plan, 6), ElementsAre(Range{0, 4}, Range{4, 6}));
  EXPECT_THAT(prefill_passes(plan, 4), ElementsAre(Range{0, 4}));
}

}  // namespace
}  // namespace shardrift
