#include "parallel/reduction/reduction.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"

namespace shardrift {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <typename F>
std::string usage(F&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return {};
}

std::string refusal(std::string_view order, int shards, int ranks, DType dtype = DType::bfloat16,
                    Accumulator accumulator = Accumulator::message,
                    PartialDType partial = PartialDType::model) {
  Reduction reduction = reduction_from_text(order);
  reduction.accumulator = accumulator;
  reduction.partial = partial;
  return usage([&] { check_reduction(reduction, shards, ranks, dtype); });
}

TEST(Reduction, OrdersComeBackFromTheirText) {
  for (const auto* text :
       {"native", "profile", "linear", "chain", "ring", "tree", "tree:0", "tree:135134", "perm:0",
        "perm:2,0,3,1", "exact", "halving-doubling", "vllm-one-stage", "vllm-two-stage", "nccl-symmetric",
        "engine:vllm-0.33.0", "engine:vllm-0.33.0:9.0", "engine:vllm-0.33.0:batch-invariant"}) {
    const Reduction reduction = reduction_from_text(text);
    EXPECT_EQ(order_text(reduction), text);
    EXPECT_EQ(reduction_from_text(order_text(reduction)), reduction);
    EXPECT_EQ(reduction.needs_profile(), reduction.order == ReductionOrder::profile);
  }
  EXPECT_EQ(reduction_from_text("exact").accumulator, Accumulator::float64);
  EXPECT_EQ(reduction_from_text("tree:7").tree, 7);
  EXPECT_FALSE(reduction_from_text("native").is_local_fold());
  EXPECT_EQ(Reduction{}, reduction_from_text("native"));  // the default
  EXPECT_EQ(order_text(reduction_from_text("engine:vllm")), "engine:vllm-0.33.0");
  EXPECT_EQ(order_text(reduction_from_text("engine:vllm:10.3")), "engine:vllm-0.33.0:10.3");
}

TEST(Reduction, RefusesOtherText) {
  for (const auto* text : {"", "Ring", "rings", "tree:", "tree:x", "tree:-1", "tree:1.5", "perm:", "perm:1,2",
                           "perm:0,0", "perm:0,,1", "perm:0,1,", "perm:0;1", "permutation",
                           "engine:", "engine:vllm:", "engine:sglang", "engine:vllm-0.1", "vllm"})
    EXPECT_THAT(usage([&] { reduction_from_text(text); }), HasSubstr("--reduction")) << text;
  EXPECT_THAT(usage([] { named<Accumulator>("--accumulate", "float16"); }),
              HasSubstr("message, float32 or float64"));
  EXPECT_THAT(usage([] { named<PartialDType>("--partial", "float64"); }), HasSubstr("--partial 'float64'"));
}

TEST(Reduction, RefusedCombinationsNameFlagValueAndFix) {
  EXPECT_THAT(refusal("native", 4, 2), AllOf(HasSubstr("one shard a rank"), HasSubstr("--reduction linear")));
  EXPECT_THAT(refusal("native", 2, 2, DType::bfloat16, Accumulator::float32),
              HasSubstr("--accumulate float32"));
  EXPECT_THAT(refusal("native", 2, 2, DType::bfloat16, Accumulator::message, PartialDType::float32),
              HasSubstr("--partial float32"));
  EXPECT_THAT(refusal("exact", 4, 1), HasSubstr("--accumulate message: --reduction exact adds in float64"));
  EXPECT_THAT(refusal("tree:15", 4, 1), AllOf(HasSubstr("tree:15"), HasSubstr("tree:0 to tree:14")));
  EXPECT_THAT(refusal("tree:0", 9, 1), HasSubstr("1 to 8 shards"));
  EXPECT_THAT(refusal("perm:2,0,3,1", 3, 1), AllOf(HasSubstr("perm:2,0,3,1"), HasSubstr("--shards is 3")));
  EXPECT_THAT(refusal("linear", 4, 1, DType::float64, Accumulator::float32), HasSubstr("narrow"));
  EXPECT_THAT(refusal("linear", 4, 1, DType::float64, Accumulator::message, PartialDType::float32),
              HasSubstr("narrow"));
  EXPECT_NO_THROW(check_reduction(reduction_from_text("tree:14"), 4, 2, DType::float16));
  EXPECT_NO_THROW(check_reduction(reduction_from_text("exact"), 64, 1, DType::float64));
  EXPECT_NO_THROW(check_reduction(reduction_from_text("profile"), 4, 1, DType::float16));
}

TEST(Reduction, PublishedOrdersSayThemselvesWhereTheyRound) {
  for (const auto* order : {"vllm-one-stage", "vllm-two-stage", "nccl-symmetric", "engine:vllm"}) {
    EXPECT_EQ(reduction_from_text(order).accumulator, Accumulator::float32);
    EXPECT_TRUE(reduction_from_text(order).predicts());
    EXPECT_THAT(refusal(order, 4, 1), HasSubstr("adds in float32"));  // refusal() says message
    EXPECT_THAT(refusal(order, 4, 1, DType::float64, Accumulator::float32), HasSubstr("not float64"));
    EXPECT_THAT(refusal(order, 4, 1, DType::bfloat16, Accumulator::float32, PartialDType::float32),
                HasSubstr("--partial float32"));
    EXPECT_NO_THROW(check_reduction(reduction_from_text(order), 4, 1, DType::bfloat16));
  }
  // Libraries that halve and double round at every hop, whatever the dtype.
  EXPECT_EQ(reduction_from_text("halving-doubling").accumulator, Accumulator::message);
  EXPECT_NO_THROW(check_reduction(reduction_from_text("halving-doubling"), 4, 1, DType::float64));
  EXPECT_FALSE(reduction_from_text("linear").predicts());
}

TEST(LocalOrderMap, EveryOrder) {
  const auto map = [](std::string_view order, int shards, std::int64_t count) {
    return local_order_map(reduction_from_text(order), shards, count);
  };
  EXPECT_EQ(map("linear", 4, 10), uniform_map(linear_tree(4), 10));
  EXPECT_EQ(map("exact", 4, 10), uniform_map(linear_tree(4), 10));
  EXPECT_EQ(map("chain", 4, 10), uniform_map(chain_tree(4), 10));
  EXPECT_EQ(map("tree", 5, 10), uniform_map(balanced_tree(5), 10));
  EXPECT_EQ(map("tree:7", 4, 10), uniform_map(tree_by_index(4, 7), 10));
  EXPECT_EQ(map("perm:2,0,3,1", 4, 10), uniform_map(left_to_right({2, 0, 3, 1}), 10));
  EXPECT_EQ(describe(map("ring", 4, 10)),
            "[0, 3) ((1+2)+3)+0 / [3, 6) ((2+3)+0)+1 / [6, 8) ((0+3)+1)+2 / [8, 10) ((0+1)+2)+3");
  EXPECT_EQ(describe(map("ring", 4, 2)), "[0, 1) ((1+2)+3)+0 / [1, 2) ((2+3)+0)+1");  // empty chunks
  EXPECT_EQ(map("ring", 2, 10), uniform_map(linear_tree(2), 10));                     // one order only
  EXPECT_EQ(map("ring", 64, 640).segments.size(), 64U);
  EXPECT_EQ(map("ring", 4, 0).segments.size(), 0U);
  EXPECT_THROW(map("native", 4, 10), Error);
  EXPECT_THROW(map("profile", 4, 10), Error);
  EXPECT_THROW(map("vllm-one-stage", 4, 10), Error);  // order_models knows it
}

// Two shards have one possible order, so order studies need three.
TEST(LocalOrderMap, TwoShardsHaveOneOrder) {
  const auto linear = local_order_map(reduction_from_text("linear"), 2, 7);
  for (const auto* order : {"chain", "ring", "tree", "tree:0", "perm:1,0", "exact"})
    EXPECT_EQ(local_order_map(reduction_from_text(order), 2, 7), linear) << order;
}

}  // namespace
}  // namespace shardrift
