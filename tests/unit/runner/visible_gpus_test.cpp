// CUDA_VISIBLE_DEVICES as CUDA reads it.
#include "experiments/runner/visible_gpus.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shardrift::runner {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kTable =
    "0, NVIDIA A100, 81920, GPU-0aaa1111-0000-0000-0000-000000000000\n"
    "1, NVIDIA A100, 81920, GPU-1aaa1111-0000-0000-0000-000000000000\n"
    "2, NVIDIA A100, 81920, GPU-1abc1111-0000-0000-0000-000000000000\n";
constexpr const char* kListing =
    "GPU 0: NVIDIA A100 (UUID: GPU-0aaa1111-0000-0000-0000-000000000000)\n"
    "  MIG 3g.40gb     Device  0: (UUID: MIG-377e0049-554c-540b-93c6-d0976f8426cb)\n"
    "  MIG 1c.3g.40gb  Device  1: (UUID: MIG-GPU-0aaa1111-0000-0000-0000-000000000000/2/0)\n"
    "GPU 1: NVIDIA A100 (UUID: GPU-1aaa1111-0000-0000-0000-000000000000)\n"
    "GPU 2: NVIDIA A100 (UUID: GPU-1abc1111-0000-0000-0000-000000000000)\n";

// "3: 0 GPU-1ab", or why there is none.
std::string seen(const std::string& visible, const std::string& listing = "") {
  const auto found = visible_gpus(parse_cards(kTable, listing), visible, false);
  if (found.gpus.empty()) return found.why_none;
  std::string text = fmt::format("{}:", found.gpus.size());
  for (const auto& gpu : found.gpus) text += " " + gpu.id;
  return text;
}

TEST(VisibleGpus, EndAtTheFirstEntryThatIsNone) {
  EXPECT_EQ(seen("2,0"), "2: 2 0");
  EXPECT_EQ(seen("0,-1,1"), "1: 0");
  EXPECT_EQ(seen("0, 1 ,3,2"), "2: 0 1");
  EXPECT_EQ(seen("1,,2"), "1: 1");
  EXPECT_EQ(seen("1,2x,0"), "1: 1");
  for (const char* none : {"", "-1", "NoDevFiles", "3", "none,0", "all", "99999999999999999999"})
    EXPECT_THAT(seen(none), HasSubstr(fmt::format("no GPU found that CUDA_VISIBLE_DEVICES={} means", none)));
}

TEST(VisibleGpus, ListedTwiceNoneIsSeen) {
  for (const char* twice : {"0,0", "1,0,1", "1,GPU-1aaa", "GPU-0aaa1111,GPU-0"})
    EXPECT_THAT(seen(twice), HasSubstr("lists one twice")) << twice;
  EXPECT_EQ(seen("0,-1,0"), "1: 0") << "nobody reads on";
}

TEST(VisibleGpus, AUuidMayBeCutShortWhereItIsOneDevices) {
  EXPECT_EQ(seen("GPU-1ab,GPU-0aaa1111-0000-0000-0000-000000000000"),
            "2: GPU-1ab GPU-0aaa1111-0000-0000-0000-000000000000");
  EXPECT_EQ(seen("GPU-0,GPU-1a,0"), "1: GPU-0") << "two begin so";
  EXPECT_EQ(seen("1,0aaa1111"), "1: 1") << "without GPU- it is no UUID";
}

TEST(VisibleGpus, AnInstanceIsOneDevice) {
  const auto cards = parse_cards(kTable, kListing);
  ASSERT_EQ(cards.size(), 3U);
  EXPECT_EQ(cards[0].instances.size(), 2U);
  const auto one = visible_gpus(cards, "MIG-377e0049-554c-540b-93c6-d0976f8426cb,MIG-GPU-0,1", false);
  ASSERT_EQ(one.gpus.size(), 1U) << "whole cards go before";
  EXPECT_EQ(one.gpus[0].id, "1");
  const auto two = visible_gpus(cards, "MIG-377e,MIG-GPU-0", false);
  ASSERT_EQ(two.gpus.size(), 1U);
  EXPECT_EQ(two.gpus[0].id, "MIG-377e");
  EXPECT_EQ(two.gpus[0].name, "NVIDIA A100 MIG 3g.40gb");
  EXPECT_EQ(two.gpus[0].memory, std::int64_t{40} << 30U);
  EXPECT_EQ(visible_gpus(cards, "0", false).gpus.at(0).name, "NVIDIA A100 MIG 3g.40gb");
  EXPECT_EQ(visible_gpus(cards, "MIG-GPU-0", false).gpus.at(0).name, "NVIDIA A100 MIG 1c.3g.40gb");
  EXPECT_THAT(seen("MIG-1", kListing), HasSubstr("no GPU found that CUDA_VISIBLE_DEVICES=MIG-1 means"));
  EXPECT_EQ(visible_gpus(cards, std::nullopt, false).gpus.size(), 2U);
}

// CUDA numbers a mixture fastest first; the worker, which asks CUDA, says what that comes to.
TEST(VisibleGpus, MixedCardsAreNumberedAsCudaDoes) {
  const auto cards = parse_cards("0, NVIDIA T4, 15360, GPU-t4\n1, NVIDIA A100, 81920, GPU-a100\n", "");
  EXPECT_TRUE(are_mixed(cards));
  EXPECT_FALSE(are_mixed(parse_cards(kTable, "")));
  const auto ordered = in_order_of("GPU-a100\nGPU-t4\n", cards);
  ASSERT_TRUE(ordered.has_value());
  EXPECT_EQ(visible_gpus(*ordered, "0", false).gpus.at(0).name, "NVIDIA A100");
  const auto all = visible_gpus(*ordered, std::nullopt, true);
  EXPECT_EQ(all.gpus.at(0).id, "GPU-a100");
  for (const char* no_list : {"", "GPU-a100", "GPU-a100\nGPU-x", "shardrift-run 0.1.0 (cpu, cuda)"})
    EXPECT_FALSE(in_order_of(no_list, cards).has_value()) << no_list;
}

TEST(VisibleGpus, WithoutTheVariableAllAreSeenByNumber) {
  const auto all = visible_gpus(parse_cards(kTable, ""), std::nullopt, false);
  ASSERT_EQ(all.gpus.size(), 3U);
  EXPECT_EQ(all.gpus[2].id, "2");
  EXPECT_EQ(all.gpus[2].memory, std::int64_t{81920} << 20U);
  EXPECT_EQ(visible_gpus({}, std::nullopt, false).why_none, "no GPU found");
}

}  // namespace
}  // namespace shardrift::runner
