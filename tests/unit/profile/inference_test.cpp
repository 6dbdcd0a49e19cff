// NCCL's parameters found again from the maps alone.
#include <gmock/gmock.h>

#include "tests/unit/profile/example_profile.hpp"

namespace shardrift {
namespace {

using testing::as_probed;
using ::testing::ElementsAre;
using testing::h100_map;

TEST(Inference, FindsChannelsRingAndProtocols) {
  const auto profile = testing::example_profile();
  const auto* model = std::get_if<NcclModel>(&profile.model);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->algorithm, NcclAlgorithm::ring);
  EXPECT_THAT(model->channels, ElementsAre(24));
  EXPECT_THAT(model->rings, ElementsAre(ElementsAre(0, 1, 2, 3)));
  for (const auto& one : profile.probed) EXPECT_EQ(one.model_agrees, true) << describe(profile.model);
}

TEST(Inference, FindsAnotherRing) {
  for (const std::vector<int>& ring :
       {std::vector{0, 2, 1, 3}, std::vector{0, 3, 2, 1}, std::vector{0, 1, 3, 2}}) {
    std::vector<ProbedCollective> probed;
    for (const std::int64_t count : {64, 70'000, 1'000'000})
      probed.push_back(
          as_probed(nccl_ring_map(count, DType::float32, {4, 16, {ring}}, NcclProtocol::ll), DType::float32));
    const auto model = infer_nccl_model(probed, {});
    ASSERT_TRUE(model);
    EXPECT_THAT(model->rings, ElementsAre(ring));
  }
}

TEST(Inference, FindsTheChain) {
  const auto model = infer_nccl_model({as_probed(uniform_map(chain_tree(4), 100'000), DType::float32)}, {});
  ASSERT_TRUE(model);
  EXPECT_EQ(model->algorithm, NcclAlgorithm::tree);
}

TEST(Inference, PinsRestrictTheSearch) {
  const std::vector<ProbedCollective> probed{as_probed(h100_map(69'632, DType::bfloat16), DType::bfloat16)};
  EXPECT_TRUE(infer_nccl_model(probed, {NcclAlgorithm::ring, NcclProtocol::ll, 24}));
  EXPECT_FALSE(infer_nccl_model(probed, {NcclAlgorithm::tree, {}, {}}));
  EXPECT_FALSE(infer_nccl_model(probed, {{}, NcclProtocol::ll128, {}}));
  EXPECT_FALSE(infer_nccl_model(probed, {{}, {}, 2}));
}

// Three ranks in a tree over several channels: the model does not know that order, so it neither agrees nor
// says that the pin was not honoured.
TEST(Inference, APinnedTreeOfThreeIsUnknown) {
  const auto probed = as_probed(uniform_map(tree_from_string("(0+2)+1"), 1'000'000), DType::float32);
  const auto model = infer_nccl_model({probed}, {NcclAlgorithm::tree, {}, {}});
  ASSERT_TRUE(model);
  EXPECT_EQ(agrees(*model, probed), std::nullopt);
  EXPECT_FALSE(infer_nccl_model({probed}, {}));
}

TEST(Inference, TellsHowCloseItComes) {
  auto map = h100_map(69'632, DType::bfloat16);
  ++map.segments[4].end;
  ++map.segments[5].begin;
  const auto closest = closest_nccl(as_probed(map, DType::bfloat16).probe, {});
  EXPECT_EQ(closest.element, map.segments[4].end - 1);
  EXPECT_THAT(closest.parameters, ::testing::HasSubstr("ring, ll"));
  EXPECT_EQ(closest_nccl(as_probed(h100_map(69'632, DType::bfloat16), DType::bfloat16).probe, {}).element,
            -1);
}

TEST(Inference, ExplainsNothingByForce) {
  EXPECT_FALSE(infer_nccl_model({}, {}));
  EXPECT_FALSE(
      infer_nccl_model({as_probed(uniform_map(tree_from_string("(0+1)+(2+3)"), 100), DType::float32)}, {}));
  // One element moved: no channel count and protocol gives that.
  auto map = h100_map(69'632, DType::bfloat16);
  ++map.segments[4].end;
  ++map.segments[5].begin;
  EXPECT_FALSE(infer_nccl_model({as_probed(map, DType::bfloat16)}, {}));
}

// Whatever was probed, the model never says a wrong map: right, or nothing.
TEST(Inference, SizesBetweenProbesAreRightOrRefused) {
  const auto profile = testing::example_profile();
  int known = 0;
  int all = 0;
  for (std::int64_t tokens = 1; tokens <= 2048; tokens += 7)
    for (const std::int64_t hidden : {576, 4096, 8192})
      for (const DType dtype : {DType::bfloat16, DType::float32}) {
        const auto map = model_map(profile.model, CollectiveOperation::all_reduce, 4, tokens * hidden, dtype);
        ++all;
        if (!map) continue;
        ++known;
        ASSERT_EQ(first_difference(*map, h100_map(tokens * hidden, dtype)), -1) << tokens << " " << hidden;
      }
  EXPECT_GT(known, all / 4);
  EXPECT_LT(known, all);
}

TEST(Inference, ReduceScatterFollowsTheRing) {
  const auto profile = testing::example_profile();
  const auto map = model_map(profile.model, CollectiveOperation::reduce_scatter, 4, 64, DType::float32);
  ASSERT_TRUE(map);
  EXPECT_EQ(map->trees[0], ring_tree(4, 0));
}

}  // namespace
}  // namespace shardrift
