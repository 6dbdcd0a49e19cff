// Rows of numbers as a record stores them, in every stored dtype.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "common/dtype.hpp"

namespace shardrift::testing {

inline constexpr std::array kDTypes{DType::float64, DType::float32, DType::float16, DType::bfloat16};

inline double value_of(const std::byte* word, DType dtype) {
  if (dtype == DType::float64) {
    double value = 0;
    std::memcpy(&value, word, sizeof value);
    return value;
  }
  if (dtype == DType::float32) {
    float value = 0;
    std::memcpy(&value, word, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, word, sizeof bits);
  return dtype == DType::float16 ? float_from_float16(bits) : float_from_bfloat16(bits);
}

inline std::vector<std::byte> row_of(const std::vector<double>& values, DType dtype) {
  std::vector<std::byte> row(values.size() * size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto* const to = row.data() + i * size_of(dtype);
    const auto narrow = static_cast<float>(values[i]);
    const std::uint16_t bits =
        dtype == DType::float16 ? float16_from_float(narrow) : bfloat16_from_float(narrow);
    if (dtype == DType::float64) std::memcpy(to, &values[i], sizeof(double));
    if (dtype == DType::float32) std::memcpy(to, &narrow, sizeof(float));
    if (size_of(dtype) == 2) std::memcpy(to, &bits, sizeof bits);
  }
  return row;
}

}  // namespace shardrift::testing
