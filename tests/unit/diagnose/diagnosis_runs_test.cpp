// Which runs a diagnosis makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "analysis/diagnose/diagnosis_runs.hpp"

namespace shardrift::analysis {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> names(const std::vector<DiagnosisRun>& runs) {
  std::vector<std::string> all;
  for (const auto& run : runs) all.push_back(run.name);
  return all;
}

Plan ranks(int count, DType dtype = DType::bfloat16) {
  Plan plan;
  plan.shards = plan.tensor_parallel = count;
  plan.dtype = plan.logits_dtype = dtype;
  return plan;
}

void expect_valid(const std::vector<DiagnosisRun>& runs) {
  for (const auto& run : runs) {
    EXPECT_EQ(world_size(run.plan), 1) << run.name;
    EXPECT_NO_THROW(validated(run.plan, 4, 1)) << run.name << ": " << describe(run.plan);
    EXPECT_EQ(run.plan.launch, Launch::eager);
  }
}

TEST(DiagnosisRuns, OfRanksAgainstOneDevice) {
  Plan one;
  one.dtype = DType::float32;
  auto four = ranks(4);
  four.launch = Launch::captured;
  four.pipeline = 2;
  four.batch = 3;
  const auto runs = diagnosis_runs(one, four, true);
  EXPECT_THAT(names(runs),
              ElementsAre("candidate", "reference", "shards-2", "shards-3", "order", "products"));
  expect_valid(runs);
  EXPECT_EQ(runs[0].plan.reduction.order, ReductionOrder::profile);
  EXPECT_EQ(runs[0].plan.batch, 3);
  EXPECT_EQ(runs[1].plan.dtype, DType::bfloat16);  // order alone is judged
  EXPECT_TRUE(wants_profile(four));
  const auto unknown = diagnosis_runs(one, four, false);
  EXPECT_EQ(unknown[0].plan.reduction.order, ReductionOrder::linear);
  expect_valid(unknown);
  EXPECT_FALSE(wants_profile(ranks(2)));
}

TEST(DiagnosisRuns, AreValidForEveryPlan) {
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16})
    for (const int shards : {1, 2, 3, 5})
      for (const auto row_linear : {RowLinear::reduce, RowLinear::scatter, RowLinear::gather})
        for (const bool profile : {false, true})
          for (const bool both : {false, true}) {
            Plan candidate = ranks(shards, dtype);
            candidate.row_linear = row_linear;
            Plan reference = both ? candidate : ranks(1, DType::bfloat16);
            if (both) reference.row_linear = RowLinear::reduce;
            const auto runs = diagnosis_runs(reference, candidate, profile);
            EXPECT_GE(runs.size(), 4U);
            for (const auto& run : runs) {
              EXPECT_TRUE(profile || !run.plan.reduction.needs_profile()) << run.name;
              expect_valid({run});
            }
          }
}

TEST(DiagnosisRuns, ARecordsDevicesSayOnWhatItRan) {
  record::Environment environment;
  EXPECT_EQ(ran_on(environment), std::nullopt);
  environment.devices.resize(2);
  EXPECT_EQ(ran_on(environment), Device::cpu);
  environment.devices[0].compute_capability = "9.0";
  EXPECT_EQ(ran_on(environment), std::nullopt);
  environment.devices[1].compute_capability = "9.0";
  EXPECT_EQ(ran_on(environment), Device::cuda);
}

TEST(DiagnosisRuns, OneOfThemPlansOnceOnly) {
  const auto runs = diagnosis_runs(ranks(1), ranks(1), false);
  EXPECT_THAT(names(runs), ElementsAre("candidate", "shards-2", "shards-3", "order", "products"));
  Plan shards = ranks(1);
  shards.shards = 2;
  shards.reduction.order = ReductionOrder::exact;
  shards.reduction.accumulator = Accumulator::float64;
  const auto folded = diagnosis_runs(ranks(1), shards, false);
  EXPECT_TRUE(folded[0].plan == shards);
  expect_valid(folded);
}

}  // namespace
}  // namespace shardrift::analysis
