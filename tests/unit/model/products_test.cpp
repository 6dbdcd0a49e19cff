// The products of fixed order: one definition, whatever computes it, and what follows from it.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "model/backend.hpp"
#include "model/cpu/products/fixed_product.hpp"

namespace shardrift {
namespace {

constexpr DType kDTypes[] = {DType::float64, DType::float32, DType::float16, DType::bfloat16};

double element(const Matrix& m, std::int64_t i) {
  const auto* bytes = static_cast<const std::byte*>(m.data) + static_cast<std::size_t>(i) * size_of(m.dtype);
  std::uint16_t bits = 0;
  float single = 0;
  double wide = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  if (m.dtype == DType::float16) return float_from_float16(bits);
  if (m.dtype == DType::bfloat16) return float_from_bfloat16(bits);
  if (m.dtype == DType::float32) return std::memcpy(&single, bytes, sizeof single), single;
  return std::memcpy(&wide, bytes, sizeof wide), wide;
}

void set_element(const Matrix& m, std::int64_t i, double value) {
  auto* bytes = static_cast<std::byte*>(m.data) + static_cast<std::size_t>(i) * size_of(m.dtype);
  const auto single = static_cast<float>(value);
  const std::uint16_t bits =
      m.dtype == DType::float16 ? float16_from_float(single) : bfloat16_from_float(single);
  if (size_of(m.dtype) == 2) std::memcpy(bytes, &bits, sizeof bits);
  if (m.dtype == DType::float32) std::memcpy(bytes, &single, sizeof single);
  if (m.dtype == DType::float64) std::memcpy(bytes, &value, sizeof value);
}

// The definition (model/cpu/products/product_kernels.hpp), word for word.
template <typename Real>
Real defined_product(const Matrix& x, std::int64_t row, const Matrix& weight, std::int64_t column) {
  constexpr std::int64_t kStrands = sizeof(Real) == 8 ? 8 : 16;
  std::vector<Real> strands(kStrands, Real(0));
  for (std::int64_t k = 0; k < (x.cols + kStrands - 1) / kStrands * kStrands; ++k) {
    const bool there = k < x.cols;
    auto& sum = strands[static_cast<std::size_t>(k % kStrands)];
    sum = std::fma(there ? static_cast<Real>(element(x, row * x.cols + k)) : Real(0),
                   there ? static_cast<Real>(element(weight, column * x.cols + k)) : Real(0), sum);
  }
  for (std::size_t width = kStrands / 2; width > 0; width /= 2)
    for (std::size_t s = 0; s < width; ++s) strands[s] += strands[s + width];
  return strands[0];
}

class ProductsTest : public ::testing::Test {
 protected:
  // Numbers whose sums round at every step: of both signs, over 2^-range to 2^range.
  OwnedMatrix random(std::int64_t rows, std::int64_t cols, DType dtype, unsigned seed, double range = 2) {
    std::mt19937 generator(seed);
    std::normal_distribution<double> normal;
    std::uniform_real_distribution<double> exponent(-range, range);
    OwnedMatrix m(*memory, rows, cols, dtype);
    for (std::int64_t i = 0; i < rows * cols; ++i)
      set_element(m.view, i, normal(generator) * std::exp2(exponent(generator)));
    return m;
  }
  OwnedMatrix product(Backend& backend, const Matrix& x, const Matrix& weight, DType out) {
    OwnedMatrix result(backend, x.rows, weight.rows, out);
    backend.linear(x, weight, result.view);
    return result;
  }
  static Matrix rows_of(const Matrix& m, std::int64_t begin, std::int64_t count) {
    auto* at = static_cast<std::byte*>(m.data) + static_cast<std::size_t>(begin * m.cols) * size_of(m.dtype);
    return {at, count, m.cols, m.dtype};
  }
  static bool same_bits(const Matrix& a, const Matrix& b) {
    return a.bytes() == b.bytes() && std::memcmp(a.data, b.data, a.bytes()) == 0;
  }

  std::unique_ptr<Backend> memory = make_cpu_backend(1);
};

TEST_F(ProductsTest, EveryInstructionSetComputesTheDefinition) {
  const auto kernels = product_kernels();
  Threads one(1);
  for (const DType dtype : kDTypes) {
    for (const std::int64_t rows : {1, 2, 3, 5, 9}) {
      for (const std::int64_t k : {1, 15, 16, 100, 2070}) {  // the last: in several parts
        for (const double range : {2.0, dtype == DType::float16 ? 7.0 : 60.0}) {
          const auto x = random(rows, k, dtype, 1, range);
          const auto weight = random(7, k, dtype, 2, range);
          for (const DType out : {dtype, DType::float32}) {
            if (out == DType::float32 && size_of(dtype) > 4) continue;
            OwnedMatrix expected(*memory, rows, 7, out);
            for (std::int64_t i = 0; i < rows * 7; ++i)
              set_element(expected.view, i,
                          dtype == DType::float64
                              ? defined_product<double>(x.view, i / 7, weight.view, i % 7)
                              : defined_product<float>(x.view, i / 7, weight.view, i % 7));
            for (const auto* set : kernels) {
              OwnedMatrix result(*memory, rows, 7, out);
              fixed_product(one, x.view, weight.view, result.view, *set);
              EXPECT_TRUE(same_bits(expected.view, result.view))
                  << set->name << ", " << name_of(dtype) << " to " << name_of(out) << ", " << rows
                  << " rows of " << k << ", range " << range;
            }
          }
        }
      }
    }
  }
}

// Fusing is emulated where a CPU cannot: halfway cases, sums that vanish, numbers below the normal ones.
TEST_F(ProductsTest, EveryInstructionSetFusesAlike) {
  Threads one(1);
  const float tiny = std::bit_cast<float>(1U);
  const float above = std::nextafter(1.0F, 2.0F);
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> cases{
      // x and weight of k = 0, then of k = 16: fused(x1 · w1 + x0 · w0)
      {1, 1, above, above},
      {-1, 1, above, above},
      {1, 1, 0x1p-24F, 1},
      {1, 1, 0x1p-24F, above},
      {above, 1, 0x1p-24F, 1},
      {above, 1, 0x1p-24F, 1 - 0x1p-24F},
      {0x1p100F, 1, 0x1p-100F, -1},
      {tiny, 1, tiny, 0.5F},
      {tiny, 1, tiny, -0.5F},
      {0x1p-126F, 1, 0x1p-80F, -0x1p-70F},
      {0x1.fffffep127F, 1, 0x1p102F, 1},
      {0x1.fffffep127F, 1, 0x1p103F, 1},
      {-0x1p127F, 1, 0x1p64F, 0x1p64F},
      {infinity, 1, 1, 1},
      {1, 1, infinity, -1},
      {-0.0F, 1, -0.0F, 1}};
  for (const auto& c : cases) {
    OwnedMatrix x(*memory, 1, 17, DType::float32);
    OwnedMatrix weight(*memory, 1, 17, DType::float32);
    set_element(x.view, 0, c[0]);
    set_element(weight.view, 0, c[1]);
    set_element(x.view, 16, c[2]);
    set_element(weight.view, 16, c[3]);
    const float expected = defined_product<float>(x.view, 0, weight.view, 0);
    for (const auto* set : product_kernels()) {
      OwnedMatrix out(*memory, 1, 1, DType::float32);
      fixed_product(one, x.view, weight.view, out.view, *set);
      EXPECT_EQ(std::bit_cast<std::uint32_t>(*static_cast<float*>(out.view.data)),
                std::bit_cast<std::uint32_t>(expected))
          << set->name << ": " << c[2] << " · " << c[3] << " + " << c[0] << " · " << c[1];
    }
  }
}

TEST_F(ProductsTest, ARowsBitsAreTheSameInEveryPassOnEveryShardAndThread) {
  constexpr std::int64_t kRows = 300, kColumns = 61, kK = 1100;
  const auto one = make_cpu_backend(1, Products::fixed);
  const auto two = make_cpu_backend(2, Products::fixed);
  for (const DType dtype : kDTypes) {
    const auto x = random(kRows, kK, dtype, 3);
    const auto weight = random(kColumns, kK, dtype, 4);
    const auto all = product(*one, x.view, weight.view, dtype);
    EXPECT_TRUE(same_bits(all.view, product(*two, x.view, weight.view, dtype).view)) << name_of(dtype);
    for (Backend* backend : {one.get(), two.get()}) {
      for (const std::int64_t count : {1, 2, 3, 17}) {
        for (const std::int64_t first : {std::int64_t(0), std::int64_t(5), kRows - count}) {
          const auto some = product(*backend, rows_of(x.view, first, count), weight.view, dtype);
          EXPECT_TRUE(same_bits(rows_of(all.view, first, count), some.view))
              << name_of(dtype) << ", rows " << first << " to " << first + count;
        }
      }
      // A shard's columns: some of the weight's rows, which begin elsewhere among the tiles.
      const auto shard = product(*backend, x.view, rows_of(weight.view, 10, 20), dtype);
      for (std::int64_t r = 0; r < kRows; ++r)
        ASSERT_EQ(std::memcmp(rows_of(shard.view, r, 1).data,
                              static_cast<std::byte*>(rows_of(all.view, r, 1).data) + 10 * size_of(dtype),
                              20 * size_of(dtype)),
                  0)
            << name_of(dtype) << " row " << r;
    }
  }
}

// One row of 16 bits is ours under --products library too, and so are its float32 sums.
TEST_F(ProductsTest, OneRowOf16BitsIsOurs) {
  const auto fixed = make_cpu_backend(2, Products::fixed);
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    const auto x = random(1, 576, dtype, 5);
    const auto weight = random(40, 576, dtype, 6);
    for (const DType out : {dtype, DType::float32})
      EXPECT_TRUE(same_bits(product(*memory, x.view, weight.view, out).view,
                            product(*fixed, x.view, weight.view, out).view))
          << name_of(dtype);
  }
}

// Beside the library's own error against float64, on the same numbers.
TEST_F(ProductsTest, AreAsNearToFloat64AsTheLibrarys) {
  const auto fixed = make_cpu_backend(1, Products::fixed);
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float16}) {
    for (const std::int64_t rows : {1, 40}) {
      const auto x = random(rows, 1536, dtype, 7);
      const auto weight = random(50, 1536, dtype, 8);
      const auto error = [&](Backend& backend) {
        const auto out = product(backend, x.view, weight.view, dtype);
        double squares = 0;
        for (std::int64_t i = 0; i < rows * 50; ++i) {
          double exact = 0;
          for (std::int64_t k = 0; k < 1536; ++k)
            exact += element(x.view, i / 50 * 1536 + k) * element(weight.view, i % 50 * 1536 + k);
          squares += std::pow(element(out.view, i) - exact, 2);
        }
        return std::sqrt(squares / static_cast<double>(rows * 50));
      };
      const double ours = error(*fixed);
      const double librarys = error(*memory);
      RecordProperty(std::string(name_of(dtype)) + "_" + std::to_string(rows),
                     std::to_string(ours / librarys));
      // The library's one float32 row is our lanes' (vector_kernels.cpp): 64 chains where these are 16, which
      // makes chains four times as long and their errors about twice as large.
      const double allowed = rows == 1 && dtype == DType::float32 ? 2 : 1.2;
      EXPECT_LE(ours, allowed * librarys) << name_of(dtype) << ", " << rows << " rows";
      EXPECT_GT(ours, 0) << "a control: these numbers are to round";
    }
  }
}

}  // namespace
}  // namespace shardrift
