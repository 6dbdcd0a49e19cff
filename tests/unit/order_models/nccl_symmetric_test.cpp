// NCCL's symmetric kernels by hand: cells, their owners, and which kernel takes which message.
#include "parallel/order_models/nccl_symmetric.hpp"

#include <gtest/gtest.h>

#include "common/error.hpp"
#include "parallel/order_models/fold_order.hpp"

namespace shardrift {
namespace {

// Which rank's cell an element lies in: the one its sum starts at.
int owner(const OrderMap& map, std::int64_t element) {
  for (const auto& segment : map.segments) {
    if (element >= segment.end) continue;
    const auto& tree = map.trees[static_cast<std::size_t>(segment.tree)];
    for (int rank = 0; rank < map.shards(); ++rank) {
      std::vector<int> order;
      for (int k = 0; k < map.shards(); ++k) order.push_back((rank + k) % map.shards());
      if (tree == left_to_right(order)) return rank;
    }
  }
  return -1;
}

void expect_owners(const OrderMap& map, const std::vector<std::pair<std::int64_t, int>>& expected) {
  for (const auto& [element, rank] : expected) EXPECT_EQ(owner(map, element), rank) << element;
}

// Three ranks, one block, 16 bits: 12 cells of 1024 elements are a round of long cells, 12 of 256 one of
// short ones; then groups of 32.
TEST(NcclSymmetric, LongCellsThenShortOnesThenGroups) {
  const auto map = nccl_symmetric_cells(12288 + 3072 + 70, DType::bfloat16, 3, 1);
  expect_owners(map, {{0, 0}, {1023, 0}, {1024, 1}, {2047, 1}, {2048, 2}, {3072, 0}, {12287, 2}});
  expect_owners(map, {{12288, 0}, {12543, 0}, {12544, 1}, {12800, 2}, {15359, 2}});
  expect_owners(map, {{15360, 0}, {15391, 0}, {15392, 1}, {15424, 2}, {15429, 2}});
  // One element less than a round of long cells: they are all short.
  const auto shorter = nccl_symmetric_cells(12287, DType::bfloat16, 3, 1);
  expect_owners(shorter, {{0, 0}, {255, 0}, {256, 1}, {512, 2}, {768, 0}, {9215, 2}, {9216, 0}, {9248, 1}});
}

TEST(NcclSymmetric, BlocksMoveTheBorder) {
  // Two blocks need rounds twice as long: of 15430 elements none is in a long cell.
  const auto map = nccl_symmetric_cells(15430, DType::bfloat16, 3, 2);
  expect_owners(map, {{0, 0}, {255, 0}, {256, 1}, {12287, 2}, {12288, 0}, {12320, 1}, {12352, 2}});
}

TEST(NcclSymmetric, WidthsAndRanks) {
  // float32: 512 elements a long cell, 128 a short one.
  const auto map = nccl_symmetric_cells(8192 + 40, DType::float32, 4, 1);
  expect_owners(map, {{0, 0}, {511, 0}, {512, 1}, {1536, 3}, {2048, 0}, {8191, 3}, {8192, 0}, {8224, 1}});
  EXPECT_EQ(describe(nccl_symmetric_cells(70, DType::bfloat16, 4, 1)),
            "[0, 32) ((0+1)+2)+3 / [32, 64) ((1+2)+3)+0 / [64, 70) ((2+3)+0)+1");
  EXPECT_EQ(describe(nccl_symmetric_cells(100000, DType::bfloat16, 2, 3)), "[0, 100000) 0+1");
  EXPECT_EQ(owner(nccl_symmetric_cells(65536, DType::bfloat16, 8, 2), 7 * 1024), 7);
}

// What NCCL 2.28.9 logged on two H200s (NCCL_DEBUG_SUBSYS=TUNING, 2026-11-30, docs/results/engines.md).
TEST(NcclSymmetric, TheKernelsThatNcclTookOnTwoGpus) {
  const std::vector<std::pair<std::int64_t, NcclSymmetricKernel>> logged{
      {16, {true, 1}},       {32, {true, 1}},       {8192, {true, 3}},     {16384, {true, 4}},
      {32768, {true, 6}},    {65536, {true, 7}},    {131072, {false, 3}},  {139264, {false, 3}},
      {278528, {false, 4}},  {2097152, {false, 7}}, {4194304, {false, 7}}, {11468800, {false, 7}},
      {22937600, {false, 7}}};
  for (const auto& [bytes, kernel] : logged) EXPECT_EQ(nccl_symmetric_kernel(bytes, 2), kernel) << bytes;
}

// As the cost model, worked out apart from this code, says: well away from where two kernels cost the same.
TEST(NcclSymmetric, TheKernelAndItsBlocks) {
  const auto kernel = [](std::int64_t bytes, int ranks) { return nccl_symmetric_kernel(bytes, ranks); };
  EXPECT_EQ(kernel(1, 2), (NcclSymmetricKernel{true, 1}));
  EXPECT_EQ(kernel(16384, 2), (NcclSymmetricKernel{true, 4}));
  EXPECT_EQ(kernel(65536, 2), (NcclSymmetricKernel{true, 7}));
  EXPECT_EQ(kernel(131072, 2), (NcclSymmetricKernel{false, 3}));
  EXPECT_EQ(kernel(16384, 4), (NcclSymmetricKernel{true, 6}));
  EXPECT_EQ(kernel(65536, 4), (NcclSymmetricKernel{false, 2}));
  EXPECT_EQ(kernel(1 << 20, 4), (NcclSymmetricKernel{false, 6}));
  EXPECT_EQ(kernel(1 << 26, 4), (NcclSymmetricKernel{false, 7}));
  EXPECT_EQ(kernel(16384, 8), (NcclSymmetricKernel{true, 6}));
  EXPECT_EQ(kernel(131072, 8), (NcclSymmetricKernel{false, 4}));
  for (const int ranks : {2, 4, 8}) {
    bool cells = false;
    for (std::int64_t bytes = 1024; bytes <= 1 << 22; bytes += 1024) {
      const bool now = !kernel(bytes, ranks).low_latency;
      EXPECT_TRUE(now || !cells) << bytes;  // never back
      cells = now;
    }
    EXPECT_TRUE(cells);
  }
}

TEST(NcclSymmetric, FoldsByTheChosenKernel) {
  const auto reduction = reduction_from_text("nccl-symmetric");
  EXPECT_EQ(fold_order_map(reduction, 4, 8192, DType::bfloat16), uniform_map(linear_tree(4), 8192));
  EXPECT_EQ(fold_order_map(reduction, 4, 32768, DType::bfloat16),
            nccl_symmetric_cells(32768, DType::bfloat16, 4, 2));
  EXPECT_EQ(published_sum(reduction, 4, 8192, DType::bfloat16).algorithm, "symmetric AGxLL_R");
  EXPECT_EQ(published_sum(reduction, 4, 32768, DType::bfloat16).channels, "2");
  EXPECT_THROW(nccl_symmetric_map(64, DType::float64, 4), Error);
  EXPECT_THROW(nccl_symmetric_map(64, DType::float32, 1), Error);
}

}  // namespace
}  // namespace shardrift
