// vLLM's custom all-reduce by hand, and against our own collectives, which are of the same make.
#include "parallel/order_models/vllm_order.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"
#include "parallel/order_models/fold_order.hpp"
#include "parallel/order_models/peer_order.hpp"

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

std::string two_stage(std::int64_t count, DType dtype, int ranks) {
  return describe(vllm_two_stage_map(count, dtype, ranks));
}

TEST(VllmOneStage, IsOurOneShotAndLinear) {
  const auto reduction = reduction_from_text("vllm-one-stage");
  const auto linear = reduction_from_text("linear");
  for (const int ranks : {2, 4, 6, 8})
    for (const DType dtype : {DType::bfloat16, DType::float16, DType::float32}) {
      const auto map = fold_order_map(reduction, ranks, 4096, dtype);
      EXPECT_EQ(map, peer_map(Collective::one_shot, 4096, dtype, ranks));
      EXPECT_EQ(map, local_order_map(linear, ranks, 4096));
    }
  EXPECT_EQ(reduction.accumulator, peer_accumulator(DType::bfloat16));
}

TEST(VllmTwoStage, TheLastPartHasWhatIsLeftOver) {
  // Packs of 8 elements: 8 are two for each of four ranks.
  EXPECT_EQ(two_stage(64, DType::bfloat16, 4),
            "[0, 16) ((0+1)+2)+3 / [16, 32) ((1+2)+3)+0 / [32, 48) ((2+3)+0)+1 / [48, 64) ((0+3)+1)+2");
  // 9 packs: the last rank has three.
  EXPECT_EQ(two_stage(72, DType::float16, 4),
            "[0, 16) ((0+1)+2)+3 / [16, 32) ((1+2)+3)+0 / [32, 48) ((2+3)+0)+1 / [48, 72) ((0+3)+1)+2");
  // 3 packs: the last rank has them all.
  EXPECT_EQ(two_stage(24, DType::bfloat16, 4), "[0, 24) ((0+3)+1)+2");
  // float32 has packs of 4.
  EXPECT_EQ(two_stage(20, DType::float32, 4),
            "[0, 4) ((0+1)+2)+3 / [4, 8) ((1+2)+3)+0 / [8, 12) ((2+3)+0)+1 / [12, 20) ((0+3)+1)+2");
  EXPECT_EQ(two_stage(24, DType::float32, 2), "[0, 24) 0+1");
  EXPECT_EQ(describe(vllm_two_stage_map(64, DType::bfloat16, 8), 2),
            "[0, 8) ((((((0+1)+2)+3)+4)+5)+6)+7 / [8, 16) ((((((1+2)+3)+4)+5)+6)+7)+0 / … 8 segments in all");
}

TEST(VllmTwoStage, IsOurTwoShotWhereTheRanksDivideThePacks) {
  for (const int ranks : {4, 6, 8})
    for (std::int64_t packs = 1; packs <= 50; ++packs) {
      const auto map = vllm_two_stage_map(8 * packs, DType::bfloat16, ranks);
      const auto ours = peer_map(Collective::two_shot, 8 * packs, DType::bfloat16, ranks);
      EXPECT_EQ(map == ours, packs % ranks == 0) << packs << " packs over " << ranks;
      // The first part of ours is then one pack longer; with less than a pack a rank, its first is not rank
      // 0's.
      const std::int64_t part = packs / ranks;
      EXPECT_EQ(first_difference(map, ours), packs % ranks == 0 ? -1 : 8 * part);
    }
}

TEST(VllmOrder, RefusesWhatTheCustomAllReduceDoesNotTake) {
  EXPECT_THAT(
      usage([] { vllm_one_stage_map(64, DType::bfloat16, 3); }),
      AllOf(HasSubstr("2, 4, 6 or 8 ranks, not 3"), HasSubstr("NCCL"), HasSubstr("--reduction profile")));
  EXPECT_THAT(usage([] { vllm_two_stage_map(60, DType::bfloat16, 4); }),
              AllOf(HasSubstr("120 bytes, which is no multiple of 16"), HasSubstr("NCCL")));
  for (const auto* order : {"vllm-one-stage", "vllm-two-stage", "engine:vllm"})
    for (const int ranks : {1, 3, 5, 7, 16})
      EXPECT_THAT(usage([&] { check_published_shards(reduction_from_text(order), ranks); }),
                  HasSubstr(std::to_string(ranks)))
          << order;
  EXPECT_NO_THROW(check_published_shards(reduction_from_text("nccl-symmetric"), 3));
  EXPECT_NO_THROW(check_published_shards(reduction_from_text("linear"), 1));
}

}  // namespace
}  // namespace shardrift
