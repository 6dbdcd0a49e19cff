// A view of a dense row-major matrix in device memory. It owns nothing.
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

// Every buffer that a matrix product reads or writes starts on such a boundary: kernels are chosen by
// alignment.
inline constexpr std::size_t kAlignment = 256;
inline constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace shardrift
