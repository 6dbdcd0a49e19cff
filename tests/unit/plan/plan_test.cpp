#include "parallel/plan/plan.hpp"

#include <gmock/gmock.h>

#include <set>

#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Plan plan_of(int shards, int ranks, int stages, int replicas, std::string_view reduction = "") {
  Plan plan;
  plan.shards = shards;
  plan.tensor_parallel = ranks;
  plan.pipeline = stages;
  plan.replicas = replicas;
  if (shards != ranks) plan.reduction.order = ReductionOrder::linear;
  if (!reduction.empty()) plan.reduction = reduction_from_text(reduction);
  return plan;
}

std::string refusal(const Plan& plan, int layers, int ranks) {
  try {
    validated(plan, layers, ranks);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  ADD_FAILURE() << "accepted: " << describe(plan);
  return {};
}

TEST(Plan, RanksAreReplicaThenStageThenTensor) {
  const Plan plan = validated(plan_of(4, 2, 3, 2), 10, 12);
  EXPECT_THAT(plan.stage_layers, ElementsAre(4, 3, 3));
  std::set<int> seen;
  for (int rank = 0; rank < 12; ++rank) {
    const Place place = place_of(plan, rank);
    EXPECT_EQ(rank_of(plan, place.replica, place.stage, place.t), rank);
    EXPECT_EQ(place.shards.size(), 2);
    seen.insert(place.replica * 100 + place.stage * 10 + place.t);
  }
  EXPECT_EQ(seen.size(), 12U);
  const Place last = place_of(plan, 11);
  EXPECT_EQ(last.layers, (Range{7, 10}));
  EXPECT_EQ(last.shards, (Range{2, 4}));
  EXPECT_TRUE(last.last_stage);
  EXPECT_FALSE(last.writes());
  EXPECT_TRUE(place_of(plan, 10).writes());
}

TEST(Plan, RefusesWhatCannotBe) {
  EXPECT_THAT(refusal(plan_of(1, 1, 1, 1), 4, 2), HasSubstr("needs 1 rank"));
  EXPECT_THAT(refusal(plan_of(2, 2, 2, 1), 4, 3), HasSubstr("needs 4 ranks"));
  EXPECT_THAT(refusal(plan_of(1, 1, 5, 1), 4, 5), HasSubstr("4 layers"));
  EXPECT_THAT(refusal(plan_of(3, 2, 1, 1), 4, 2), HasSubstr("multiple"));
  EXPECT_THAT(refusal(plan_of(0, 1, 1, 1), 4, 1), HasSubstr("--shards 0"));
  EXPECT_THAT(refusal(plan_of(128, 1, 1, 1), 4, 1), HasSubstr("--shards 128: at most 64"));
  // As many shards, where --shards is not given.
  EXPECT_THAT(refusal(plan_of(0, 0, 1, 1), 4, 1), HasSubstr("--tensor-parallel 0: must be at least 1"));
  EXPECT_THAT(refusal(plan_of(128, 128, 1, 1), 4, 1), HasSubstr("--tensor-parallel 128: at most 64"));
  EXPECT_THAT(refusal(plan_of(1, 1, 1, -1), 4, 1), HasSubstr("--replicas -1"));
  Plan native = plan_of(4, 2, 1, 1);
  native.reduction.order = ReductionOrder::native;
  EXPECT_THAT(refusal(native, 4, 2), HasSubstr("one shard a rank"));
  Plan wide = plan_of(2, 2, 1, 1);
  wide.reduction.accumulator = Accumulator::float32;
  EXPECT_THAT(refusal(wide, 4, 2), HasSubstr("local fold"));
  EXPECT_THAT(refusal(plan_of(2, 2, 1, 1, "tree:3"), 4, 2), HasSubstr("tree:0 to tree:0"));
  Plan captured = plan_of(1, 1, 1, 1);
  captured.launch = Launch::captured;
  EXPECT_THAT(refusal(captured, 4, 1), HasSubstr("--launch captured needs --device cuda"));
  captured.device = Device::cuda;
  EXPECT_EQ(validated(captured, 4, 1).launch, Launch::captured);
  Plan tf32 = plan_of(1, 1, 1, 1);
  tf32.dtype = DType::tf32;
  EXPECT_THAT(refusal(tf32, 4, 1), HasSubstr("cuda"));
}

TEST(Plan, DescribesItsReduction) {
  Plan plan = plan_of(4, 1, 1, 1, "tree:7");
  plan.reduction.partial = PartialDType::float32;
  plan.reduction.accumulator = Accumulator::float64;
  EXPECT_EQ(describe(plan), "one device, 4 shards, tree:7, float32 partials, float64 sums, float32, cpu");
  EXPECT_EQ(describe(plan_of(4, 1, 1, 1, "exact")), "one device, 4 shards, exact, float32, cpu");
}

TEST(Plan, PublishedReductionsKeepWhichInTheirJson) {
  for (const auto* order : {"halving-doubling", "vllm-one-stage", "vllm-two-stage", "nccl-symmetric",
                            "engine:vllm-0.33.0", "engine:vllm-0.33.0:10.0"}) {
    const Plan plan = plan_of(4, 1, 1, 1, order);
    EXPECT_EQ(describe(validated(plan, 4, 1)), fmt::format("one device, 4 shards, {}, float32, cpu", order));
    EXPECT_EQ(plan_from_json(plan_to_json(plan)), plan);
  }
  EXPECT_THAT(refusal(plan_of(3, 1, 1, 1, "engine:vllm"), 4, 1), HasSubstr("2, 4, 6 or 8 ranks, not 3"));
  EXPECT_THAT(refusal(plan_of(1, 1, 1, 1, "nccl-symmetric"), 4, 1), HasSubstr("--shards 1"));
  EXPECT_EQ(validated(plan_of(4, 2, 1, 1, "engine:vllm"), 4, 2).reduction.engine, Engine::vllm);
}

TEST(Plan, RowLinearModes) {
  Plan plan = plan_of(4, 2, 1, 1, "native");
  plan.row_linear = RowLinear::gather;  // native in name only: nothing is summed
  EXPECT_EQ(validated(plan, 4, 2).row_linear, RowLinear::gather);
  EXPECT_EQ(describe(plan), "TP=2, 4 shards, row-linear gather, float32, cpu");
  Plan folded = plan_of(4, 2, 1, 1, "tree");
  folded.row_linear = RowLinear::gather;
  EXPECT_THAT(refusal(folded, 4, 2), HasSubstr("--row-linear gather"));
  EXPECT_THAT(refusal(folded, 4, 2), HasSubstr("--reduction"));
  Plan wide = plan;
  wide.reduction.partial = PartialDType::float32;
  EXPECT_THAT(refusal(wide, 4, 2), HasSubstr("--partial"));

  Plan scatter = plan_of(2, 2, 1, 1);
  scatter.row_linear = RowLinear::scatter;
  EXPECT_EQ(describe(validated(scatter, 4, 2)), "TP=2, native, row-linear scatter, float32, cpu");
  scatter.shards = 4;
  EXPECT_THAT(refusal(scatter, 4, 2), HasSubstr("one shard a rank"));

  Plan reduce = plan;
  reduce.row_linear = RowLinear::reduce;
  EXPECT_THAT(plan_to_json(reduce), HasSubstr(R"("row_linear":"reduce")"));
  EXPECT_NE(plan_to_json(reduce), plan_to_json(plan));
  for (const auto* name : {"reduce", "scatter", "gather"}) {
    reduce.row_linear = named<RowLinear>("--row-linear", name);
    EXPECT_EQ(name_of(reduce.row_linear), name);
    EXPECT_EQ(plan_from_json(plan_to_json(reduce)), reduce);
  }
  EXPECT_THROW(named<RowLinear>("--row-linear", "sequence"), Error);
}

TEST(Plan, CollectivesOfOurOwnSumWhereTheLibraryWould) {
  Plan plan = plan_of(4, 4, 1, 1, "native");
  EXPECT_THAT(plan_to_json(plan),
              Not(HasSubstr("collective")));  // records and resume keys stay what they were
  for (const auto* name : {"one-shot", "two-shot"}) {
    plan.collective = named<Collective>("--collective", name);
    EXPECT_EQ(describe(validated(plan, 4, 4)), fmt::format("TP=4, {}, float32, cpu", name));
    EXPECT_EQ(plan_from_json(plan_to_json(plan)), plan);
  }
  Plan other = plan;
  other.row_linear = RowLinear::scatter;
  EXPECT_EQ(refusal(other, 4, 4),
            "--collective two-shot with --row-linear scatter: there is no all-reduce then; leave one out");
  other.row_linear = RowLinear::gather;
  EXPECT_THAT(refusal(other, 4, 4), HasSubstr("--row-linear gather"));
  other = plan;
  other.reduction.order = ReductionOrder::linear;
  EXPECT_EQ(
      refusal(other, 4, 4),
      "--collective two-shot with --reduction linear: that is a local fold and no collective; leave one out");
  other = plan;
  other.reduction.accumulator = Accumulator::float32;
  EXPECT_THAT(refusal(other, 4, 4), HasSubstr("--accumulate float32"));
  other = plan;
  other.shards = 1;
  other.tensor_parallel = 1;
  EXPECT_THAT(refusal(other, 4, 1), HasSubstr("--tensor-parallel 1: nothing is summed between ranks"));
}

TEST(Plan, StagesMayBeUneven) {
  Plan plan = plan_of(1, 1, 3, 1);
  plan.stage_layers = {1, 5, 2};
  EXPECT_EQ(place_of(validated(plan, 8, 3), 1).layers, (Range{1, 6}));
  EXPECT_THAT(refusal(plan, 9, 3), HasSubstr("adds up to 8"));
  plan.stage_layers = {8, 0, 0};
  EXPECT_THAT(refusal(plan, 8, 3), HasSubstr("at least one layer"));
  plan.stage_layers = {4, 4};
  EXPECT_THAT(refusal(plan, 8, 3), HasSubstr("2 stages"));
}

TEST(Plan, SaysWhatItsWeightsAreQuantizedTo) {
  Plan plan;
  plan.quantize = Quantization::fp8_block;
  EXPECT_EQ(describe(validated(plan, 4, 1)), "one device, float32, fp8-block weights, cpu");
}

TEST(Plan, SaysWhoseProductsItHas) {
  Plan plan;
  plan.products = Products::fixed;
  EXPECT_EQ(describe(validated(plan, 4, 1)), "one device, fixed products, float32, cpu");
  plan.device = Device::cuda;
  EXPECT_EQ(describe(validated(plan, 4, 1)), "one device, fixed products, float32, cuda");
  plan.dtype = DType::tf32;
  EXPECT_EQ(refusal(plan, 4, 1),
            "--products fixed with --dtype tf32: the kernels of fixed order multiply float32 in float32; use "
            "--products library, or --dtype float32");
}

TEST(Plan, BatchesOfOneToSixtyFour) {
  Plan plan;
  EXPECT_EQ(describe(validated(plan, 4, 1)), "one device, float32, cpu");
  plan.batch = 64;
  plan.prefill_batch = 3;
  EXPECT_EQ(describe(validated(plan, 4, 1)), "one device, batch 64, prefill-batch 3, float32, cpu");
  for (const int count : {0, -1, 65}) {
    plan.batch = count;
    EXPECT_EQ(refusal(plan, 4, 1), fmt::format("--batch {}: use 1 to 64", count));
    plan.batch = 64;
    plan.prefill_batch = count;
    EXPECT_EQ(refusal(plan, 4, 1), fmt::format("--prefill-batch {}: use 1 to 64", count));
    plan.prefill_batch = 3;
  }
}

TEST(Plan, JsonKeepsEveryField) {
  Plan plan = plan_of(8, 2, 2, 2);
  plan.reduction.accumulator = Accumulator::float64;
  plan.dtype = DType::bfloat16;
  plan.logits_dtype = DType::float32;
  plan.batch = 3;
  plan.device = Device::cuda;
  plan = validated(plan, 5, 8);
  EXPECT_EQ(plan_from_json(plan_to_json(plan)), plan);
  for (const auto* order : {"profile", "chain", "ring", "tree", "tree:7", "perm:7,6,5,4,3,2,1,0", "exact"}) {
    Plan other = validated(plan_of(8, 2, 2, 2, order), 5, 8);
    other.reduction.partial = PartialDType::float32;
    EXPECT_EQ(plan_from_json(plan_to_json(other)), other) << order;
    EXPECT_NE(plan_to_json(other), plan_to_json(plan));  // a resume key that sees every field
  }
  // Records of older versions read on, and plans that they could say keep their resume keys.
  Plan old = plan_of(4, 2, 1, 1);
  EXPECT_THAT(plan_to_json(old), HasSubstr(R"("partial":"model")"));
  EXPECT_THAT(plan_to_json(old), HasSubstr(R"("reduction":"linear")"));
  EXPECT_THROW(plan_from_json("{\"shards\": 1}"), Error);
  EXPECT_THROW(plan_from_json("no JSON"), Error);
}

}  // namespace
}  // namespace shardrift
