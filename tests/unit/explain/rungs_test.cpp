// Which rungs a plan needs, and which a plan is.
#include <gmock/gmock.h>

#include "analysis/explain/ladder.hpp"
#include "common/error.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::analysis {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Plan real(int shards, DType dtype, RowLinear row_linear = RowLinear::reduce) {
  Plan plan;
  plan.shards = shards;
  plan.tensor_parallel = shards;
  plan.dtype = dtype;
  plan.logits_dtype = storage_of(dtype);
  plan.row_linear = row_linear;
  return plan;
}

std::vector<std::string> texts(const std::vector<PlannedRung>& rungs) {
  std::vector<std::string> all;
  for (const auto& rung : rungs) all.push_back(std::string(name_of(rung.kind)) + ": " + describe(rung.plan));
  return all;
}

TEST(Rungs, OfA16BitModel) {
  EXPECT_THAT(texts(planned_rungs(real(4, DType::bfloat16), true)),
              ElementsAre("reference: one device, bfloat16, cpu",
                          "product: one device, rounded partials, bfloat16, cpu",
                          "shards: one device, 4 shards, exact, float32 partials, bfloat16, cpu",
                          "partials: one device, 4 shards, exact, rounded partials, bfloat16, cpu",
                          "hops: one device, 4 shards, linear, rounded partials, bfloat16, cpu",
                          "order: one device, 4 shards, profile, rounded partials, bfloat16, cpu",
                          "prediction: one device, 4 shards, profile, bfloat16, cpu"));
}

TEST(Rungs, ThatWouldRepeatAreLeftOut) {
  // Nothing narrower than the accumulators to round.
  EXPECT_THAT(
      texts(planned_rungs(real(4, DType::float32), true)),
      ElementsAre("reference: one device, float32, cpu", "shards: one device, 4 shards, exact, float32, cpu",
                  "hops: one device, 4 shards, linear, float32, cpu",
                  "prediction: one device, 4 shards, profile, float32, cpu"));
  // Two shards have one order, and need no profile for it.
  EXPECT_THAT(texts(planned_rungs(real(2, DType::float16), false)),
              ElementsAre("reference: one device, float16, cpu",
                          "product: one device, rounded partials, float16, cpu",
                          "shards: one device, 2 shards, exact, float32 partials, float16, cpu",
                          "partials: one device, 2 shards, exact, rounded partials, float16, cpu",
                          "hops: one device, 2 shards, linear, rounded partials, float16, cpu",
                          "prediction: one device, 2 shards, linear, float16, cpu"));
  EXPECT_THAT(
      texts(planned_rungs(real(2, DType::float32), false)),
      ElementsAre("reference: one device, float32, cpu", "shards: one device, 2 shards, exact, float32, cpu",
                  "hops: one device, 2 shards, linear, float32, cpu"));
  // gather adds nothing.
  EXPECT_THAT(texts(planned_rungs(real(4, DType::bfloat16, RowLinear::gather), false)),
              ElementsAre("reference: one device, bfloat16, cpu",
                          "shards: one device, 4 shards, row-linear gather, bfloat16, cpu"));
  // Without a profile nobody knows the order of more than two.
  EXPECT_EQ(planned_rungs(real(3, DType::bfloat16), false).back().kind, RungKind::hops);
  EXPECT_EQ(planned_rungs(real(3, DType::float64), true).back().kind, RungKind::prediction);
  EXPECT_EQ(planned_rungs(real(3, DType::float64), true).size(), 3U);
}

TEST(Rungs, ScatterHasItsOwnOrder) {
  const auto rungs = planned_rungs(real(4, DType::bfloat16, RowLinear::scatter), true);
  EXPECT_EQ(rungs.back().plan.row_linear, RowLinear::scatter);
  EXPECT_EQ(rungs[3].plan.row_linear, RowLinear::reduce);
}

TEST(Rungs, OneShardHasNothingToExplain) {
  EXPECT_THROW(planned_rungs(real(1, DType::float32), true), Error);
}

TEST(Rungs, EveryPlannedRungIsAValidPlanAndRecognised) {
  for (const auto dtype : {DType::float32, DType::float16, DType::bfloat16, DType::float64})
    for (const auto row_linear : {RowLinear::reduce, RowLinear::scatter, RowLinear::gather})
      for (const int shards : {2, 3, 4, 8}) {
        for (const auto& rung : planned_rungs(real(shards, dtype, row_linear), true)) {
          const Plan plan = validated(rung.plan, 4, 1);
          EXPECT_EQ(rung_of(plan), rung.kind) << describe(plan);
        }
        Plan live = real(shards, dtype, row_linear);
        EXPECT_EQ(rung_of(validated(live, 4, shards)), RungKind::real) << describe(live);
      }
}

TEST(Rungs, OtherPlansAreNone) {
  Plan plan = real(4, DType::bfloat16);
  plan.tensor_parallel = 1;
  plan.reduction = reduction_from_text("tree");
  EXPECT_EQ(rung_of(plan), std::nullopt);
  plan.reduction = reduction_from_text("linear");
  EXPECT_EQ(rung_of(plan), std::nullopt);  // two things changed against the rung before
  plan.reduction = reduction_from_text("exact");
  EXPECT_EQ(rung_of(plan), std::nullopt);
  plan.reduction.partial = PartialDType::float32;
  EXPECT_EQ(rung_of(plan), RungKind::shards);
  plan.reduction.order = ReductionOrder::linear;
  EXPECT_EQ(rung_of(plan), std::nullopt);
}

TEST(Rungs, NamesReadBack) {
  for (int i = 0; i <= static_cast<int>(RungKind::real); ++i) {
    const auto kind = static_cast<RungKind>(i);
    EXPECT_EQ(from_name<RungKind>(name_of(kind)), kind);
    EXPECT_FALSE(changes(kind).empty());
  }
  EXPECT_EQ(from_name<RungKind>("top"), std::nullopt);
}

}  // namespace
}  // namespace shardrift::analysis
