// NCCL's Tree over 3 GPUs: each channel is a chain of its own. Measured on 3 H100s, NCCL 2.28.3, bfloat16,
// 2026-11-26 (docs/results/reductions.md): the first segments of every message that was probed, and what NCCL
// said.
#include <gtest/gtest.h>

#include "tests/unit/profile/example_profile.hpp"

namespace shardrift {
namespace {

struct Measured {
  std::int64_t count;
  NcclProtocol protocol;
  int channels;                    // that carried it, as NCCL said
  std::vector<std::int64_t> ends;  // of the first segments, which take kOrder in turn
};

constexpr const char* kOrder[] = {"(1+2)+0", "(0+2)+1", "(0+1)+2", "(1+2)+0", "(0+2)+1", "(0+1)+2"};

const std::vector<Measured>& measured() {
  using enum NcclProtocol;
  static const std::vector<Measured> all{
      {576, ll, 1, {576}},
      {4096, ll, 2, {4096}},
      {8192, ll, 4, {8192}},
      {9792, ll, 4, {9792}},
      {69632, ll, 23, {18432, 27648, 36864, 55296}},
      {139264, ll, 23, {36864, 55296, 73728, 110592}},
      {147456, ll, 24, {36864, 55296, 73728, 110592}},
      {806400, ll, 24, {202752, 304128, 405504, 608256}},
      {1048576, ll, 24, {264192, 396288, 528384, 792576}},
      {1179648, ll, 24, {294912, 442368, 589824, 884736}},
      {2097152, ll, 24, {528384, 792576, 1056768, 1585152}},
      {5734400, ll, 24, {1437696, 2156544, 2875392, 4313088}},
      {8388608, ll, 24, {2101248, 3151872, 4202496, 6303744}},
      {11468800, ll, 24, {2869248, 4303872, 5738496, 8607744}},
      {16777216, ll, 24, {4196352, 6294528, 8392704, 12589056}},
      {576, simple, 1, {576}},
      {4096, simple, 1, {4096}},
      {8192, simple, 1, {8192}},
      {9792, simple, 1, {9792}},
      {69632, simple, 4, {69632}},
      {139264, simple, 7, {122880, 139264}},
      {147456, simple, 9, {98304, 147456}},
      {806400, simple, 22, {221184, 331776, 442368, 663552}},
      {1048576, simple, 24, {270336, 405504, 540672, 811008}},
      {1179648, simple, 24, {294912, 442368, 589824, 884736}},
      {2097152, simple, 24, {540672, 811008, 1081344, 1622016}},
      {5734400, simple, 24, {1449984, 2174976, 2899968, 4349952}},
      {8388608, simple, 24, {2113536, 3170304, 4227072, 6340608}},
      {11468800, simple, 24, {2875392, 4313088, 5750784, 8626176}},
      {16777216, simple, 24, {4202496, 6303744, 8404992, 12607488}},
  };
  return all;
}

// 24 channels: 6 of one chain, 3 of the next, 3 of the third, and again.
std::vector<SumTree> h100_trees() {
  std::vector<SumTree> trees;
  for (int half = 0; half < 2; ++half)
    for (int channel = 0; channel < 12; ++channel)
      trees.push_back(tree_from_string(channel < 6 ? kOrder[0] : kOrder[channel < 9 ? 1 : 2]));
  return trees;
}

TEST(NcclTreeOfThree, GivesWhatWasMeasured) {
  const NcclCommunicator communicator{3, 24, {}, h100_trees()};
  for (const auto& one : measured()) {
    const auto ranges = nccl_ranges(one.count, DType::bfloat16, 3, 24, NcclAlgorithm::tree, one.protocol);
    EXPECT_EQ(static_cast<int>(ranges.size()), one.channels) << one.count << " " << name_of(one.protocol);
    const auto map = nccl_tree_map(one.count, DType::bfloat16, communicator, one.protocol);
    ASSERT_TRUE(map);
    ASSERT_GE(map->segments.size(), one.ends.size());
    for (std::size_t i = 0; i < one.ends.size(); ++i) {
      EXPECT_EQ(map->segments[i].end, one.ends[i]) << one.count << " " << name_of(one.protocol);
      EXPECT_EQ(to_string(map->trees[static_cast<std::size_t>(map->segments[i].tree)]), kOrder[i]);
    }
  }
}

// The channels' trees are found from maps and NCCL's word, and then predict messages that were not probed.
TEST(NcclTreeOfThree, IsInferredFromProbes) {
  const NcclCommunicator communicator{3, 24, {}, h100_trees()};
  const auto probe = [&](std::int64_t count, NcclProtocol protocol) {
    auto one =
        testing::as_probed(*nccl_tree_map(count, DType::bfloat16, communicator, protocol), DType::bfloat16);
    const auto ranges = nccl_ranges(count, DType::bfloat16, 3, 24, NcclAlgorithm::tree, protocol);
    one.told = CollectiveChoice{"tree", std::string(name_of(protocol)), static_cast<int>(ranges.size())};
    return one;
  };
  const std::vector<ProbedCollective> probed{probe(576, NcclProtocol::ll), probe(69'632, NcclProtocol::ll),
                                             probe(5'734'400, NcclProtocol::ll)};
  const auto model = infer_nccl_model(probed, {NcclAlgorithm::tree, NcclProtocol::ll, {}});
  ASSERT_TRUE(model);
  EXPECT_EQ(model->trees, h100_trees());
  EXPECT_EQ(model->channels, std::vector<int>{24});
  for (const std::int64_t count : {4096, 147'456, 2'097'152}) {
    const auto map = model_map(*model, CollectiveOperation::all_reduce, 3, count, DType::bfloat16);
    ASSERT_TRUE(map) << count;
    EXPECT_EQ(*map, *nccl_tree_map(count, DType::bfloat16, communicator, NcclProtocol::ll));
  }
  // A profile keeps them.
  auto profile = testing::example_profile();
  profile.ranks = 3;
  profile.probed = probed;
  profile.model = *model;
  EXPECT_EQ(profile_from_json(profile_to_json(profile), "again").model, profile.model);
  // One boundary elsewhere, and no number of channels explains it.
  auto moved = probed;
  ++moved[1].probe.segments[0].end;
  ++moved[1].probe.segments[1].begin;
  EXPECT_FALSE(infer_nccl_model(moved, {NcclAlgorithm::tree, NcclProtocol::ll, {}}));
}

}  // namespace
}  // namespace shardrift
