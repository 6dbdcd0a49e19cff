// The equality rules of one device, on the CPU backend: what sharding must not change, bit by bit.
#include "model/backend.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "common/mix64.hpp"
#include "model/device_order_map.hpp"

namespace shardrift {
namespace {

std::vector<float> random_values(std::int64_t count, unsigned seed, float scale = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (auto& value : values) value = normal(generator);
  return values;
}

class CpuBackendTest : public ::testing::Test {
 protected:
  OwnedMatrix matrix(std::int64_t rows, std::int64_t cols, const std::vector<float>& values) {
    OwnedMatrix m(*backend, rows, cols, DType::float32);
    backend->upload(m.view.data, values.data(), m.view.bytes());
    return m;
  }
  OwnedMatrix random(std::int64_t rows, std::int64_t cols, unsigned seed) {
    return matrix(rows, cols, random_values(rows * cols, seed));
  }
  static std::vector<float> values_of(const Matrix& m) {
    const auto* data = static_cast<const float*>(m.data);
    return {data, data + m.count()};
  }
  static bool same_bits(const Matrix& a, const Matrix& b) {
    return std::memcmp(a.data, b.data, a.bytes()) == 0;
  }

  std::unique_ptr<Backend> backend = make_cpu_backend(2);
};

TEST_F(CpuBackendTest, BuffersAreAlignedAndZero) {
  for (const std::size_t bytes : {1U, 100U, 4096U, 70001U}) {
    const Buffer buffer(*backend, bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kAlignment, 0U);
    for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(buffer.as<char>()[i], 0);
  }
}

TEST_F(CpuBackendTest, EmbeddingCopiesBitsNegativeZeroIncluded) {
  const auto table = matrix(3, 2, {-0.0F, 1.0F, std::nanf("7"), -2.0F, 5.0F, 6.0F});
  const std::vector<std::int32_t> tokens{10, 11, 99};  // the slice holds tokens 10 to 12
  OwnedMatrix out = matrix(3, 2, {9, 9, 9, 9, 9, 9});
  backend->embed(table.view, {10, 13}, {.tokens = tokens.data(), .rows = 3}, out.view);
  EXPECT_EQ(std::memcmp(out.view.data, table.view.data, 4 * sizeof(float)), 0);
  EXPECT_TRUE(std::signbit(values_of(out.view)[0]));
  EXPECT_EQ(values_of(out.view)[4], 9.0F);  // another shard's token: left alone
}

TEST_F(CpuBackendTest, AProductsBitsDoNotDependOnWhereTheShardLives) {
  for (const std::int64_t rows : {1, 2, 17}) {
    const auto x = random(rows, 576, 1);
    const auto weight = random(101, 576, 2);
    OwnedMatrix first(*backend, rows, 101, DType::float32);
    backend->linear(x.view, weight.view, first.view);
    for (int copy = 0; copy < 4; ++copy) {  // other addresses, same alignment
      const auto other_x = matrix(rows, 576, values_of(x.view));
      const auto other_weight = matrix(101, 576, values_of(weight.view));
      OwnedMatrix out(*backend, rows, 101, DType::float32);
      backend->linear(other_x.view, other_weight.view, out.view);
      EXPECT_TRUE(same_bits(first.view, out.view)) << rows << " rows, copy " << copy;
    }
  }
}

TEST_F(CpuBackendTest, AProductIsRight) {
  for (const std::int64_t rows : {1, 5}) {
    for (const std::int64_t k : {7, 64, 200}) {
      const auto x = random(rows, k, 3);
      const auto weight = random(33, k, 4);
      OwnedMatrix out(*backend, rows, 33, DType::float32);
      backend->linear(x.view, weight.view, out.view);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t n = 0; n < 33; ++n) {
          double exact = 0;
          double size = 0;
          for (std::int64_t i = 0; i < k; ++i) {
            const double term =
                static_cast<double>(values_of(x.view)[r * k + i]) * values_of(weight.view)[n * k + i];
            exact += term;
            size += std::abs(term);
          }
          ASSERT_NEAR(values_of(out.view)[r * 33 + n], exact, size * 1e-6);
        }
      }
    }
  }
}

TEST_F(CpuBackendTest, OneAndTwoThreadsGiveTheSameBits) {
  const auto one_thread = make_cpu_backend(1);
  const auto x = random(1, 576, 5);
  const auto weight = random(1536, 576, 6);
  OwnedMatrix two(*backend, 1, 1536, DType::float32);
  OwnedMatrix one(*one_thread, 1, 1536, DType::float32);
  backend->linear(x.view, weight.view, two.view);
  one_thread->linear(x.view, weight.view, one.view);
  EXPECT_TRUE(same_bits(one.view, two.view));
}

TEST_F(CpuBackendTest, FoldIsLeftToRightAndRoundsWhereItSays) {
  // Order-sensitive: 1e8 + 1 rounds back to 1e8 in float32.
  constexpr std::size_t kStride = kAlignment;
  Buffer partials(*backend, 3 * kStride);
  const auto put = [&](int s, float value) {
    partials.as<float>()[static_cast<std::size_t>(s) * kStride / sizeof(float)] = value;
  };
  OwnedMatrix out(*backend, 1, 1, DType::float32);
  const DeviceOrderMap order(*backend, uniform_map(linear_tree(3), 1));
  const auto folded = [&](Accumulator accumulator) {
    backend->fold(partials.data(), kStride, DType::float32, order, accumulator, out.view);
    return values_of(out.view)[0];
  };
  put(0, 1e8F), put(1, 1.0F), put(2, -1e8F);
  EXPECT_EQ(folded(Accumulator::message), 0.0F);
  EXPECT_EQ(folded(Accumulator::float32), 0.0F);
  EXPECT_EQ(folded(Accumulator::float64), 1.0F);
  put(0, 1e8F), put(1, -1e8F), put(2, 1.0F);
  EXPECT_EQ(folded(Accumulator::message), 1.0F);
  put(0, -0.0F), put(1, -0.0F), put(2, -0.0F);
  EXPECT_TRUE(std::signbit(folded(Accumulator::message)));
}

TEST_F(CpuBackendTest, FoldOf16BitPartialsRoundsAtEveryAdd) {
  Buffer partials(*backend, 3 * kAlignment);
  const auto put = [&](std::size_t s, float value) {
    partials.as<std::uint16_t>()[s * kAlignment / 2] = bfloat16_from_float(value);
  };
  OwnedMatrix out(*backend, 1, 1, DType::bfloat16);
  const DeviceOrderMap order(*backend, uniform_map(linear_tree(3), 1));
  const auto folded = [&](Accumulator accumulator) {
    backend->fold(partials.data(), kAlignment, DType::bfloat16, order, accumulator, out.view);
    return float_from_bfloat16(*static_cast<const std::uint16_t*>(out.view.data));
  };
  put(0, 256.0F), put(1, 1.0F), put(2, 1.0F);
  EXPECT_EQ(folded(Accumulator::message), 256.0F);  // each 1 is lost
  EXPECT_EQ(folded(Accumulator::float32), 258.0F);  // rounded once
}

TEST_F(CpuBackendTest, AnEmptyShardsPartialChangesNothing) {
  OwnedMatrix empty(*backend, 1, 4, DType::float32);
  backend->fill_negative_zero(empty.view);
  const auto residual = matrix(1, 4, {-0.0F, 0.0F, 1.5F, -INFINITY});
  const auto before = values_of(residual.view);
  backend->add(residual.view, empty.view);
  EXPECT_EQ(std::memcmp(residual.view.data, before.data(), residual.view.bytes()), 0);
}

// A row's attention depends on its own keys only: not on other rows of the pass, nor on other heads of the
// shard.
TEST_F(CpuBackendTest, AttentionOfARowIsItsOwn) {
  constexpr std::int64_t kRows = 37, kHeads = 6, kKv = 2, kDim = 16, kLength = 40;
  for (const std::int64_t window : {0, 8}) {
    const auto qkv = random(kRows, (kHeads + 2 * kKv) * kDim, 7);
    const auto keys = random(kKv * kLength, kDim, 8);
    const auto values = random(kKv * kLength, kDim, 9);
    const CacheView cache{keys.view.data, values.view.data, kKv, kLength, kDim};
    std::vector<std::int32_t> positions(kRows);
    for (std::int32_t i = 0; i < kRows; ++i) positions[static_cast<std::size_t>(i)] = i + 3;
    const std::vector<std::int32_t> slots(kRows, 0);
    const std::vector<std::int32_t> local_kv{0, 0, 0, 1, 1, 1};
    OwnedMatrix all(*backend, kRows, kHeads * kDim, DType::float32);
    backend->attention(qkv.view, {kHeads, local_kv.data(), window},
                       {nullptr, positions.data(), slots.data(), nullptr, kRows, true}, cache, all.view);
    for (std::int64_t r = 0; r < kRows; ++r) {  // the row alone, as a decode step sees it
      const Matrix row{static_cast<float*>(qkv.view.data) + r * qkv.view.cols, 1, qkv.view.cols,
                       DType::float32};
      OwnedMatrix one(*backend, 1, kHeads * kDim, DType::float32);
      backend->attention(row, {kHeads, local_kv.data(), window},
                         {nullptr, &positions[static_cast<std::size_t>(r)], slots.data(), nullptr, 1}, cache,
                         one.view);
      const float* expected = static_cast<const float*>(all.view.data) + r * all.view.cols;
      ASSERT_EQ(std::memcmp(one.view.data, expected, one.view.bytes()), 0) << "row " << r;
    }
    // Exact softmax of the last row, head 4, in float64.
    const std::int64_t r = kRows - 1, head = 4, end = positions.back() + 1,
                       begin = window > 0 ? end - window : 0;
    const auto q = values_of(qkv.view);
    std::vector<double> weights;
    double sum = 0;
    for (auto j = begin; j < end; ++j) {
      double dot = 0;
      for (std::int64_t d = 0; d < kDim; ++d)
        dot += static_cast<double>(q[r * qkv.view.cols + head * kDim + d]) *
               values_of(keys.view)[(kLength + j) * kDim + d];
      weights.push_back(std::exp(dot / 4.0));
      sum += weights.back();
    }
    double expected = 0;
    for (auto j = begin; j < end; ++j)
      expected += weights[static_cast<std::size_t>(j - begin)] / sum *
                  values_of(values.view)[(kLength + j) * kDim + 3];
    EXPECT_NEAR(values_of(all.view)[r * all.view.cols + head * kDim + 3], expected, 1e-5);
  }
}

TEST_F(CpuBackendTest, JoinDropsThePads) {
  // 7 columns over 3 shards: 3, 2, 2 of width 3
  Buffer slices(*backend, 3 * kAlignment);
  float next = 0;
  for (std::size_t s = 0; s < 3; ++s)
    for (std::size_t i = 0; i < 6; ++i)
      slices.as<float>()[s * kAlignment / 4 + i] = s > 0 && i % 3 == 2 ? -1.0F : next++;
  OwnedMatrix out(*backend, 2, 7, DType::float32);
  const std::vector<std::int64_t> offsets{0, 3, 5, 7};
  backend->join_columns({slices.data(), kAlignment, 3, offsets.data(), 3}, out.view);
  EXPECT_EQ(values_of(out.view), (std::vector<float>{0, 1, 2, 6, 7, 10, 11, 3, 4, 5, 8, 9, 12, 13}));
}

TEST_F(CpuBackendTest, JoinTakesSlicesOfAnyWidth) {
  // 2 rows of 4 columns: 1, 0, 3 and 0 of them, no pads
  Buffer slices(*backend, 4 * kAlignment);
  for (std::size_t s = 0; s < 4; ++s)
    for (std::size_t i = 0; i < 6; ++i)
      slices.as<float>()[s * kAlignment / 4 + i] = static_cast<float>(10 * s + i);
  OwnedMatrix out(*backend, 2, 4, DType::float32);
  const std::vector<std::int64_t> offsets{0, 1, 1, 4, 4};
  backend->join_columns({slices.data(), kAlignment, 4, offsets.data(), 0}, out.view);
  EXPECT_EQ(values_of(out.view), (std::vector<float>{0, 20, 21, 22, 1, 23, 24, 25}));
}

// A tensor's checksum is the sum of its parts' by index, for every element size; a moved or changed element
// shows.
TEST_F(CpuBackendTest, ChecksumsOfPartsAddUp) {
  for (const auto dtype : {DType::float64, DType::float32, DType::bfloat16, DType::float16}) {
    constexpr std::int64_t kRows = 11, kCols = 37;
    OwnedMatrix m(*backend, kRows, kCols, dtype);
    std::mt19937 random(41);
    std::vector<std::uint8_t> bytes(m.view.bytes());
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    backend->upload(m.view.data, bytes.data(), bytes.size());
    std::vector<std::uint64_t> expected(kRows, 0);
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < kCols; ++c) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, bytes.data() + (r * kCols + c) * size_of(dtype), size_of(dtype));
        expected[r] += mix64(c, bits);
      }
    std::vector<std::uint64_t> whole(kRows, 0);
    backend->checksum(m.view, {0, kCols}, 0, whole.data());
    EXPECT_EQ(whole, expected);
    std::vector<std::uint64_t> parts(kRows, 0);
    for (const Range part : {Range{20, 37}, Range{0, 1}, Range{1, 20}, Range{5, 5}})
      backend->checksum(m.view, part, part.begin, parts.data());
    EXPECT_EQ(parts, expected);

    std::vector<std::uint64_t> moved(kRows, 0);
    backend->checksum(m.view, {0, kCols}, 1, moved.data());
    bytes[size_of(dtype) * kCols * 3] ^= 1U;  // the lowest bit of row 3's first element
    backend->upload(m.view.data, bytes.data(), bytes.size());
    std::vector<std::uint64_t> changed(kRows, 0);
    backend->checksum(m.view, {0, kCols}, 0, changed.data());
    for (std::size_t r = 0; r < kRows; ++r) {
      EXPECT_NE(moved[r], expected[r]);
      EXPECT_EQ(changed[r] == expected[r], r != 3);
    }
  }
}

}  // namespace
}  // namespace shardrift
