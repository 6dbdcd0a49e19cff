#include "slurm/job_plan.hpp"

#include <gmock/gmock.h>

#include "slurm/submit.hpp"
#include "tests/unit/record/example_record.hpp"
#include "tests/unit/slurm/example_plan.hpp"

namespace shardrift::slurm {
namespace {

using record::testing::error_of;
using testing::configuration;
using ::testing::ElementsAre;
using testing::empty_plan;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::scale_out;

std::vector<std::string> names(const JobArray& array) {
  std::vector<std::string> list;
  for (const auto& task : array.tasks) list.push_back(task.name);
  return list;
}

TEST(JobPlan, SameSizeSharesAnArray) {
  SiteProfile profile;
  profile.ranks_per_node = 4;
  const auto plan = plan_jobs(empty_plan(), scale_out(), profile);
  ASSERT_EQ(plan.arrays.size(), 5U);
  EXPECT_EQ(plan.arrays[0].name, "1-rank");
  EXPECT_THAT(names(plan.arrays[0]), ElementsAre("reference", "reference-again"));
  EXPECT_EQ(plan.arrays[1].name, "2-ranks");
  EXPECT_THAT(names(plan.arrays[1]), ElementsAre("tp2", "pp2"));
  EXPECT_THAT(names(plan.arrays[2]), ElementsAre("tp4"));
  EXPECT_EQ(plan.arrays[3].name, "8-ranks");
  EXPECT_EQ(plan.arrays[3].nodes, 2);
  EXPECT_EQ(plan.arrays[3].ranks_per_node, 4);
  EXPECT_EQ(plan.arrays[4].name, "2-ranks-after-reference");
  EXPECT_THAT(plan.arrays[4].after, ElementsAre("reference"));
  EXPECT_EQ(find_task(plan, "pp2").array, &plan.arrays[1]);
  EXPECT_EQ(find_task(plan, "pp2").index, 1);
  EXPECT_EQ(find_task(plan, "none").array, nullptr);
}

TEST(JobPlan, NodesHoldEqualShares) {
  SiteProfile profile;
  profile.ranks_per_node = 2;
  const auto nodes = [&](int ranks) {
    const auto plan = plan_jobs(empty_plan(), {configuration("x", ranks, "cuda", {})}, profile);
    return std::pair(plan.arrays[0].nodes, plan.arrays[0].ranks_per_node);
  };
  EXPECT_EQ(nodes(1), std::pair(1, 1));
  EXPECT_EQ(nodes(2), std::pair(1, 2));
  EXPECT_EQ(nodes(3), std::pair(3, 1));
  EXPECT_EQ(nodes(4), std::pair(2, 2));
}

TEST(JobPlan, WhatIsWaitedForComesFirst) {
  // Given backwards: c follows b, b follows a; d follows a record that is there already.
  const auto plan =
      plan_jobs(empty_plan(),
                {configuration("c", 1, "cpu", {}, {"b"}), configuration("b", 1, "cpu", {}, {"a"}),
                 configuration("a", 1, "cpu", {}), configuration("d", 1, "cpu", {}, {"done"})},
                {});
  ASSERT_EQ(plan.arrays.size(), 4U);
  EXPECT_THAT(names(plan.arrays[0]), ElementsAre("a"));
  EXPECT_THAT(names(plan.arrays[1]), ElementsAre("d"));
  EXPECT_THAT(names(plan.arrays[2]), ElementsAre("b"));
  EXPECT_THAT(names(plan.arrays[3]), ElementsAre("c"));
  const auto calls = sbatch_calls(plan);
  ASSERT_EQ(calls.size(), 5U);
  EXPECT_THAT(calls[1].after, IsEmpty()) << "its reference is recorded";
  EXPECT_THAT(calls[2].after, ElementsAre("1-rank[0]"));
  EXPECT_THAT(calls[3].after, ElementsAre("1-rank-after-a[0]"));
  EXPECT_TRUE(calls[4].is_analysis);
  EXPECT_THAT(calls[4].after, ElementsAre("1-rank", "1-rank-after-done", "1-rank-after-a", "1-rank-after-b"));
}

TEST(JobPlan, TwoDevicesAreTwoArrays) {
  const auto plan =
      plan_jobs(empty_plan(), {configuration("a", 1, "cuda", {}), configuration("truth", 1, "cpu", {})}, {});
  ASSERT_EQ(plan.arrays.size(), 2U);
  EXPECT_EQ(plan.arrays[1].name, "1-rank-2");
}

TEST(JobPlan, RefusesWhatCannotBe) {
  const auto circle = error_of([] {
    plan_jobs(empty_plan(),
              {configuration("a", 1, "cpu", {}, {"b"}), configuration("b", 1, "cpu", {}, {"a"})}, {});
  });
  EXPECT_THAT(circle.what(), HasSubstr("a, b wait for each other"));
  auto plan = empty_plan();
  plan.folder = "/scratch/100%/slurm";
  EXPECT_THAT(error_of([&] { plan_jobs(plan, scale_out(), {}); }).what(), HasSubstr("#SBATCH lines cannot"));
}

}  // namespace
}  // namespace shardrift::slurm
