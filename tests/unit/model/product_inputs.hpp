// What tests of products on GPUs multiply.
#pragma once
#include <cmath>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "model/backend.hpp"
#include "weights/quantize.hpp"

namespace shardrift {

using Bytes = std::vector<std::byte>;

inline double element(const Bytes& bytes, DType dtype, std::int64_t i) {
  const std::byte* at = bytes.data() + static_cast<std::size_t>(i) * size_of(dtype);
  std::uint16_t bits = 0;
  float single = 0;
  double wide = 0;
  if (dtype == DType::float64) return std::memcpy(&wide, at, sizeof wide), wide;
  if (dtype == DType::float32) return std::memcpy(&single, at, sizeof single), single;
  std::memcpy(&bits, at, sizeof bits);
  return dtype == DType::float16 ? float_from_float16(bits) : float_from_bfloat16(bits);
}

// Numbers whose sums round at every step: of both signs, over some powers of two.
inline Bytes random_numbers(std::int64_t count, DType dtype, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> exponent(-2, 2);
  Bytes bytes(static_cast<std::size_t>(count) * size_of(dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    const double value = normal(generator) * std::exp2(exponent(generator));
    const auto single = static_cast<float>(value);
    const std::uint16_t bits =
        dtype == DType::float16 ? float16_from_float(single) : bfloat16_from_float(single);
    std::byte* at = bytes.data() + static_cast<std::size_t>(i) * size_of(dtype);
    if (size_of(dtype) == 2) std::memcpy(at, &bits, sizeof bits);
    if (dtype == DType::float32) std::memcpy(at, &single, sizeof single);
    if (dtype == DType::float64) std::memcpy(at, &value, sizeof value);
  }
  return bytes;
}

inline Matrix rows_of(const Matrix& m, std::int64_t begin, std::int64_t count) {
  auto* at = static_cast<std::byte*>(m.data) + static_cast<std::size_t>(begin * m.cols) * size_of(m.dtype);
  return {at, count, m.cols, m.dtype};
}

// What --quantize keeps as codes: the numbers as weights are loaded, and their scales.
struct Quantized {
  Quantization kind;
  WeightFormat format;
};
inline constexpr Quantized kQuantized[] = {{Quantization::int8, WeightFormat::int8},
                                           {Quantization::int4, WeightFormat::int4},
                                           {Quantization::nf4, WeightFormat::nf4},
                                           {Quantization::fp8, WeightFormat::fp8},
                                           {Quantization::fp8_block, WeightFormat::fp8_block}};

// A weight to code, and the same plain; its first row is of zeros, its second of numbers as small as they
// get.
inline std::pair<OwnedWeight, OwnedMatrix> quantized_weight(Backend& backend, Quantization kind,
                                                            std::int64_t rows, std::int64_t cols, DType dtype,
                                                            unsigned seed = 13) {
  const Bytes numbers = random_numbers(rows * cols, DType::float32, seed);
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  std::memcpy(values.data(), numbers.data(), numbers.size());
  for (std::int64_t i = 0; i < 2 * cols; ++i)
    values[static_cast<std::size_t>(i)] *= i < cols ? 0.0F : 0x1p-12F;
  std::vector<float> scales(static_cast<std::size_t>(rows * scales_of_row(kind, cols)));
  quantize_rows(kind, values, cols, scales.data());
  std::vector<std::uint16_t> words(values.size());
  for (std::size_t i = 0; i < words.size(); ++i)
    words[i] = dtype == DType::float16 ? float16_from_float(values[i]) : bfloat16_from_float(values[i]);
  const auto loaded = [&] {
    OwnedMatrix m(backend, rows, cols, dtype);
    backend.upload(m.view.data, words.data(), words.size() * sizeof(words[0]));
    return m;
  };
  OwnedWeight weight;
  weight.matrix = loaded();
  weight.scales = {backend, rows, scales_of_row(kind, cols), DType::float32};
  backend.upload(weight.scales.view.data, scales.data(), scales.size() * sizeof(float));
  backend.synchronize();
  return {std::move(weight), loaded()};
}

}  // namespace shardrift
