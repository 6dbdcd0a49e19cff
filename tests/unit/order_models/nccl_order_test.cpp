// The NCCL model against small cases worked out by hand from its four steps, and against properties that
// every map must have.
#include "parallel/order_models/nccl_order.hpp"

#include <gmock/gmock.h>

#include <random>

#include "common/error.hpp"

namespace shardrift {
namespace {

using ::testing::ElementsAre;

std::string ring_text(std::int64_t count, DType dtype, int ranks, int channels, NcclProtocol protocol) {
  return describe(nccl_ring_map(count, dtype, {ranks, channels, {}}, protocol), 100);
}

TEST(NcclRing, OneElementIsChunkZero) {
  for (const auto protocol : {NcclProtocol::ll, NcclProtocol::ll128, NcclProtocol::simple})
    EXPECT_EQ(ring_text(1, DType::float32, 4, 24, protocol), "[0, 1) " + to_string(ring_tree(4, 0)));
}

// 1152 bytes: one channel, 576 / 4 = 144 elements a chunk, already a multiple of 16 bytes.
TEST(NcclRing, OneChannelInFourChunks) {
  const auto map = nccl_ring_map(576, DType::bfloat16, {4, 24, {}}, NcclProtocol::ll);
  EXPECT_THAT(map.segments, ElementsAre(OrderSegment{0, 144, 0}, OrderSegment{144, 288, 1},
                                        OrderSegment{288, 432, 2}, OrderSegment{432, 576, 3}));
  for (int c = 0; c < 4; ++c) EXPECT_EQ(map.trees[static_cast<std::size_t>(c)], ring_tree(4, c));
}

// ceil(5 / 3) = 2 elements, rounded up to 16 bytes = 8 of bfloat16: everything is chunk 0. In float64 16
// bytes are 2 elements: chunks 2, 2, 1.
TEST(NcclRing, ChunksRoundUpToSixteenBytes) {
  EXPECT_EQ(nccl_ring_map(5, DType::bfloat16, {3, 24, {}}, NcclProtocol::ll).segments.size(), 1U);
  EXPECT_THAT(nccl_ring_map(5, DType::float64, {3, 24, {}}, NcclProtocol::ll).segments,
              ElementsAre(OrderSegment{0, 2, 0}, OrderSegment{2, 4, 1}, OrderSegment{4, 5, 2}));
}

// 17 x 4096 bfloat16 = 139264 bytes: 8 channels (139264 / 16384 = 8.5), 68 cells of 2048 bytes,
// ceil(139264 / 16384) = 9 for each: 9, 6 x 9, 5.
TEST(NcclRanges, LowLatencyLowersTheChannels) {
  const auto ranges = nccl_ranges(69632, DType::bfloat16, 4, 24, NcclAlgorithm::ring, NcclProtocol::ll);
  ASSERT_EQ(ranges.size(), 8U);
  for (std::int64_t i = 0; i < 7; ++i)
    EXPECT_EQ(ranges[static_cast<std::size_t>(i)], (NcclRange{i * 9216, (i + 1) * 9216}));
  EXPECT_EQ(ranges[7], (NcclRange{64512, 69632}));
  const auto map = nccl_ring_map(69632, DType::bfloat16, {4, 24, {}}, NcclProtocol::ll);
  ASSERT_EQ(map.segments.size(), 32U);
  EXPECT_EQ(map.segments[3], (OrderSegment{6912, 9216, 3}));
  EXPECT_EQ(map.segments[4], (OrderSegment{9216, 11520, 0}));
  EXPECT_EQ(map.segments[29], (OrderSegment{65792, 67072, 1}));  // 5120 / 4 = 1280 a chunk
}

// 24 · 8192 + 2 bytes: 25 cells, but floor(393220 / 24) = 16384 bytes of traffic are one cell for each of 24
// channels: one range too many, so the last channel takes two cells.
TEST(NcclRanges, TheLastChannelTakesTheOverflow) {
  const auto ranges = nccl_ranges(98305, DType::float16, 4, 24, NcclAlgorithm::ring, NcclProtocol::ll128);
  ASSERT_EQ(ranges.size(), 24U);
  EXPECT_EQ(ranges[22], (NcclRange{22 * 4096, 23 * 4096}));
  EXPECT_EQ(ranges[23], (NcclRange{23 * 4096, 98305}));
}

// Simple: below 2 x 32768 bytes one channel, from there two. 65536 bytes are 8 cells, 4 each.
TEST(NcclRanges, SimpleNeedsThirtyTwoKilobytesAChannel) {
  const auto ranges = [](std::int64_t count) {
    return nccl_ranges(count, DType::float32, 4, 24, NcclAlgorithm::ring, NcclProtocol::simple);
  };
  EXPECT_THAT(ranges(16383), ElementsAre(NcclRange{0, 16383}));
  EXPECT_THAT(ranges(16384), ElementsAre(NcclRange{0, 8192}, NcclRange{8192, 16384}));
}

// One channel, Simple, float32: a full loop is 4 x 524288 elements; the five left over are chunks of 4 and 1.
TEST(NcclRing, LoopsThenARest) {
  const auto map = nccl_ring_map(2097157, DType::float32, {4, 1, {}}, NcclProtocol::simple);
  EXPECT_THAT(map.segments,
              ElementsAre(OrderSegment{0, 524288, 0}, OrderSegment{524288, 1048576, 1},
                          OrderSegment{1048576, 1572864, 2}, OrderSegment{1572864, 2097152, 3},
                          OrderSegment{2097152, 2097156, 0}, OrderSegment{2097156, 2097157, 1}));
}

// LL's loop is N x 32768 bytes: with one channel and 3 ranks a second loop begins at 24576 float32.
TEST(NcclRing, LowLatencyLoopsAreShort) {
  const auto map = nccl_ring_map(24576 + 12, DType::float32, {3, 1, {}}, NcclProtocol::ll);
  ASSERT_EQ(map.segments.size(), 6U);
  EXPECT_EQ(map.segments[2], (OrderSegment{16384, 24576, 2}));
  EXPECT_EQ(map.segments[3], (OrderSegment{24576, 24580, 0}));
}

TEST(NcclRing, OtherRings) {
  const NcclCommunicator turned{4, 24, {{2, 3, 0, 1}}};  // the same ring, written from rank 2 on
  const NcclCommunicator plain{4, 24, {}};
  EXPECT_EQ(nccl_ring_map(70000, DType::float32, turned, NcclProtocol::ll),
            nccl_ring_map(70000, DType::float32, plain, NcclProtocol::ll));
  const auto map = nccl_ring_map(16, DType::float32, {4, 2, {{0, 2, 1, 3}, {0, 3, 2, 1}}}, NcclProtocol::ll);
  EXPECT_EQ(describe(map),
            "[0, 4) ((1+2)+3)+0 / [4, 8) ((1+3)+0)+2 / [8, 12) ((0+3)+2)+1 / [12, 16) ((0+2)+1)+3");
}

TEST(NcclRing, TwoRanksHaveOneOrder) {
  EXPECT_EQ(nccl_ring_map(5'000'000, DType::bfloat16, {2, 24, {}}, NcclProtocol::simple).segments.size(), 1U);
}

TEST(NcclRing, EveryElementOnceWhateverTheSize) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int i = 0; i < 3000; ++i) {
    const std::int64_t count = 1 + static_cast<std::int64_t>(random()) % (std::int64_t{1} << (1 + below(24)));
    const auto dtype = std::array{DType::float64, DType::float32, DType::float16, DType::bfloat16}.at(
        static_cast<std::size_t>(below(4)));
    const int ranks = 2 + below(7);
    const int channels = 1 + below(64);
    const auto protocol = static_cast<NcclProtocol>(below(3));
    const auto ranges = nccl_ranges(count, dtype, ranks, channels, NcclAlgorithm::ring, protocol);
    EXPECT_LE(ranges.size(), static_cast<std::size_t>(channels));
    const auto map = nccl_ring_map(count, dtype, {ranks, channels, {}}, protocol);  // throws unless it covers
    EXPECT_EQ(map.count, count);
    EXPECT_EQ(map.segments.back().end, count);
    EXPECT_LE(map.trees.size(), static_cast<std::size_t>(ranks));
  }
}

TEST(NcclTree, TheChainWhereItWasMeasured) {
  for (const int ranks : {2, 4})
    EXPECT_EQ(nccl_tree_map(1'000'000, DType::float32, {ranks, 24, {}}, NcclProtocol::simple),
              uniform_map(chain_tree(ranks), 1'000'000));
  EXPECT_EQ(nccl_tree_map(1000, DType::float32, {3, 24, {}}, NcclProtocol::ll),
            uniform_map(chain_tree(3), 1000));
  EXPECT_EQ(nccl_tree_map(1'000'000, DType::float32, {3, 24, {}}, NcclProtocol::ll), std::nullopt);
  EXPECT_EQ(nccl_tree_map(1000, DType::float32, {8, 24, {}}, NcclProtocol::ll), std::nullopt);
}

TEST(NcclReduceScatter, PartKEndsAtRankK) {
  const auto map = nccl_reduce_scatter_map(64, {4, 24, {}});
  ASSERT_TRUE(map);
  EXPECT_EQ(describe(*map),
            "[0, 16) ((1+2)+3)+0 / [16, 32) ((2+3)+0)+1 / [32, 48) ((0+3)+1)+2 / [48, 64) ((0+1)+2)+3");
}

TEST(NcclProtocols, BetweenSpansBothNeighboursArePossible) {
  using enum NcclProtocol;
  const std::vector<NcclProtocolSpan> spans{
      {100, 200, ll, ll}, {300, 400, ll128, ll128}, {900, 1000, simple, simple}};
  EXPECT_THAT(possible_protocols(spans, 1), ElementsAre(ll));
  EXPECT_THAT(possible_protocols(spans, 150), ElementsAre(ll));
  EXPECT_THAT(possible_protocols(spans, 250), ElementsAre(ll, ll128));
  EXPECT_THAT(possible_protocols(spans, 400), ElementsAre(ll128));
  EXPECT_THAT(possible_protocols(spans, 5000), ElementsAre(simple));
  EXPECT_THAT(possible_protocols({{100, 200, ll, ll}}, 201), ElementsAre(ll, ll128, simple));
  EXPECT_THAT(possible_protocols({}, 1), ElementsAre(ll, ll128, simple));
  EXPECT_THAT(possible_protocols({{100, 200, ll, ll128}}, 150), ElementsAre(ll, ll128));
  EXPECT_THAT(possible_protocols({{100, 200, simple, simple}, {300, 400, ll, ll}}, 250), ElementsAre());
}

TEST(NcclModel, RefusesWhatIsNoCommunicator) {
  const auto map = [](const NcclCommunicator& communicator) {
    return nccl_ring_map(100, DType::float32, communicator, NcclProtocol::ll);
  };
  EXPECT_THROW(map({1, 24, {}}), Error);
  EXPECT_THROW(map({4, 0, {}}), Error);
  EXPECT_THROW(map({4, 65, {}}), Error);
  EXPECT_THROW(map({4, 24, {{0, 1, 2, 2}}}), Error);
  EXPECT_THROW(map({4, 24, {{0, 1, 2}}}), Error);
  EXPECT_THROW(map({4, 24, {{0, 1, 2, 3}, {0, 1, 2, 3}}}), Error);
  EXPECT_THROW(nccl_ring_map(0, DType::float32, {4, 24, {}}, NcclProtocol::ll), Error);
  EXPECT_THROW(named<NcclProtocol>("protocol", "LL"), Error);
}

}  // namespace
}  // namespace shardrift
