// Views of dense row-major matrices in device memory, and of weights made of them. They own nothing.
#pragma once
#include <cstddef>
#include <cstdint>

#include "common/dtype.hpp"

namespace shardrift {

struct Matrix {
  void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  DType dtype = DType::float32;
  std::int64_t count() const { return rows * cols; }
  std::size_t bytes() const { return static_cast<std::size_t>(count()) * size_of(dtype); }
  Matrix first_rows(std::int64_t n) const { return {data, n, cols, dtype}; }
};

// How a weight's elements are stored: plain, as numbers of matrix.dtype; or as codes, each of which stands
// for what it codes times a float32 scale, rounded to matrix.dtype (weights/quantize.hpp).
enum class WeightFormat { plain, int8, int4, nf4, fp8, fp8_block };

// What a matrix product multiplies with, [out, in].
struct Weight {
  Matrix matrix;  // coded: codes lie at data, as the device's products want them
  WeightFormat format = WeightFormat::plain;
  Matrix scales;  // plain: none; coded: as the device's products want them
  Weight() = default;
  Weight(const Matrix& plain) : matrix(plain) {}  // NOLINT: a matrix is a weight
};

// Every buffer that a matrix product reads or writes starts on such a boundary: kernels are chosen by
// alignment.
inline constexpr std::size_t kAlignment = 256;
inline constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}
// From one matrix of this shape to the next, where several lie one after the other.
inline std::size_t stride_of(const Matrix& matrix) {
  return aligned(matrix.bytes());
}

}  // namespace shardrift
