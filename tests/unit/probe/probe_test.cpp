// The probe against sums whose order is known: every tree of 4 and 5 shards, maps of several, and sums that
// are no binary tree. The live MPI all-reduce: tests/integration/probe_test.cpp.
#include "parallel/probe/probe.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "common/error.hpp"
#include "parallel/reduction/scalar_fold.hpp"
#include "tests/support/test_sums.hpp"

namespace shardrift {
namespace {

constexpr std::array kDTypes{DType::float64, DType::float32, DType::float16, DType::bfloat16};

ProbedSum fold_of(const OrderMap& map, DType dtype, Accumulator accumulator = Accumulator::message) {
  return testing::local_sum(
      map.shards(),
      [=](const void* partials, std::size_t stride, void* out) {
        scalar_fold(partials, stride, dtype, map, accumulator, out, dtype);
      },
      map.count, dtype);
}

TEST(Probe, RecoversEveryTree) {
  for (const int shards : {2, 3, 4, 5})
    for (std::int64_t k = 0; k < tree_count(shards); ++k)
      for (const DType dtype : kDTypes) {
        const auto map = uniform_map(tree_by_index(shards, k), 7);
        const auto found = probe_sum(shards, 7, dtype, fold_of(map, dtype));
        EXPECT_EQ(found.map(), map) << k;
        EXPECT_EQ(found.calls, shards * (shards - 1) / 2 + 1);
        EXPECT_EQ(found.accumulator, Accumulator::message);
      }
}

TEST(Probe, RecoversTreesOfEight) {
  for (std::int64_t k = 0; k < tree_count(8); k += 997)
    for (const DType dtype : kDTypes) {
      const auto map = uniform_map(tree_by_index(8, k), 1);
      EXPECT_EQ(probe_sum(8, 1, dtype, fold_of(map, dtype), false).map(), map) << k;
    }
}

TEST(Probe, FindsWhereTheTreeChanges) {
  std::mt19937 random(3);
  OrderMapBuilder builder(5000);
  std::int64_t left = 5000;
  while (left > 0) {
    const auto piece = std::min<std::int64_t>(left, 1 + static_cast<std::int64_t>(random() % 400));
    builder.append(piece, tree_by_index(4, static_cast<std::int64_t>(random() % 15)));
    left -= piece;
  }
  const auto map = builder.finish();
  for (const DType dtype : kDTypes) EXPECT_EQ(probe_sum(4, 5000, dtype, fold_of(map, dtype)).map(), map);
}

// The tree is found also where the sum is kept wide and rounded once, and where it rounds is told.
TEST(Probe, TellsWhereTheSumRounds) {
  const auto map = uniform_map(linear_tree(4), 3000);
  const auto rounds = [&](DType dtype, Accumulator accumulator) {
    const auto found = probe_sum(4, 3000, dtype, fold_of(map, dtype, accumulator));
    EXPECT_EQ(found.map(), map);
    return found.accumulator;
  };
  EXPECT_EQ(rounds(DType::bfloat16, Accumulator::message), Accumulator::message);
  EXPECT_EQ(rounds(DType::bfloat16, Accumulator::float32), Accumulator::float32);
  EXPECT_EQ(rounds(DType::float16, Accumulator::message), Accumulator::message);
  EXPECT_EQ(rounds(DType::float16, Accumulator::float32), Accumulator::float32);
  EXPECT_EQ(rounds(DType::float32, Accumulator::message), Accumulator::message);
  EXPECT_EQ(rounds(DType::float32, Accumulator::float64), Accumulator::float64);
}

// What an NVLink multicast may do: all operands at once, in more digits than any order would keep.
ProbedSum all_at_once(int ranks, std::int64_t count, std::int64_t first_odd) {
  return testing::local_sum(
      ranks,
      [=](const void* partials, std::size_t stride, void* out) {
        const auto* bytes = static_cast<const std::byte*>(partials);
        for (std::int64_t e = 0; e < count; ++e) {
          std::vector<float> operands(static_cast<std::size_t>(ranks));
          for (int r = 0; r < ranks; ++r)
            std::memcpy(&operands[static_cast<std::size_t>(r)],
                        bytes + static_cast<std::size_t>(r) * stride + static_cast<std::size_t>(e) * 4, 4);
          if (e >= first_odd)
            std::sort(operands.begin(), operands.end(),
                      [](float a, float b) { return std::abs(a) > std::abs(b); });
          float sum = 0;
          for (const float operand : operands) sum += operand;
          std::memcpy(static_cast<std::byte*>(out) + static_cast<std::size_t>(e) * 4, &sum, 4);
        }
      },
      count, DType::float32);
}

TEST(Probe, NamesWhatIsNoBinaryTree) {
  for (const int ranks : {3, 4, 8}) {
    const auto found = probe_sum(ranks, 100, DType::float32, all_at_once(ranks, 100, 40));
    EXPECT_EQ(found.first_not_binary(), 40) << ranks;
    EXPECT_EQ(describe(found), "[0, 40) " + to_string(linear_tree(ranks)) + " / [40, 100) not binary");
    try {
      static_cast<void>(found.map());
      FAIL();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("element 40"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("--nccl-algorithm ring"), std::string::npos);
    }
  }
}

// A sum that answers the probe's numbers like a tree but sums other numbers otherwise is not believed.
TEST(Probe, RandomNumbersUnmaskAnImpostor) {
  const auto map = uniform_map(linear_tree(4), 64);
  const auto honest = fold_of(map, DType::float32);
  int calls = 0;
  const auto impostor = [&](const FillPartial& fill, void* out) {
    honest(fill, out);
    float value = 0;
    std::memcpy(&value, static_cast<std::byte*>(out) + 40, 4);
    value *= 1.0000002F;
    if (++calls == 7) std::memcpy(static_cast<std::byte*>(out) + 40, &value, 4);
  };
  const auto found = probe_sum(4, 64, DType::float32, impostor);
  EXPECT_EQ(found.accumulator, std::nullopt);
  EXPECT_EQ(found.first_unexplained, 10);
  EXPECT_THROW(static_cast<void>(found.map()), Error);
}

// The Python probe makes the same numbers (tests/integration/probe_collective_test.py).
TEST(Probe, RandomNumbersAreTheSameEverywhere) {
  std::array<double, 4> numbers{};
  fill_random(2, 4, DType::float64, numbers.data());
  EXPECT_EQ(numbers, (std::array{-0x1.77ba1cc4b14ddp+0, 0x1.7537298b3796cp-5, 0x1.07e14c33764d9p-5,
                                 0x1.74035cf4f9d5bp-7}));
}

TEST(Probe, RefusesWhatItCannotProbe) {
  const auto nothing = [](const FillPartial&, void*) {};
  EXPECT_THROW(probe_sum(1, 4, DType::float32, nothing), Error);
  EXPECT_THROW(probe_sum(9, 4, DType::float32, nothing), Error);
  EXPECT_THROW(probe_sum(4, 0, DType::float32, nothing), Error);
}

}  // namespace
}  // namespace shardrift
