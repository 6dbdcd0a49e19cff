// The numbers that coded matrices are made of, and how decoded ones are rounded: float32 arithmetic, as the
// reference packages compute on a CPU, then once to the coding's dtype.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "common/dtype.hpp"

namespace shardrift {

// float8_e4m3fn: no infinities, 0x7F and 0xFF are NaN.
constexpr std::array<float, 256> e4m3_values() {
  std::array<float, 256> values{};
  for (unsigned code = 0; code < 256; ++code) {
    const unsigned exponent = (code >> 3) & 15U, mantissa = code & 7U;
    float value =
        exponent == 0 ? static_cast<float>(mantissa) / 512 : static_cast<float>(8 + mantissa) / 1024;
    for (unsigned i = 1; i < exponent; ++i) value *= 2;
    if (exponent != 0) value *= 2;
    if ((code & 0x7FU) == 0x7FU) value = std::numeric_limits<float>::quiet_NaN();
    values[code] = (code & 0x80U) != 0 ? -value : value;
  }
  return values;
}
inline constexpr std::array<float, 256> kE4m3 = e4m3_values();

// float8_e8m0fnu, a power of two: 2^(code - 127); 255 is NaN.
inline float float_from_e8m0(std::uint8_t code) {
  if (code == 255) return std::numeric_limits<float>::quiet_NaN();
  return code == 0 ? std::bit_cast<float>(0x00400000U) : std::bit_cast<float>(std::uint32_t{code} << 23);
}

template <typename T>
T word_at(const std::byte* data, std::size_t index) {  // tensors may be unaligned
  T word;
  std::memcpy(&word, data + index * sizeof(T), sizeof(T));
  return word;
}

struct Float32 {
  using Word = float;
  static Word from(float value) { return value; }
};
struct BFloat16 {
  using Word = std::uint16_t;
  static Word from(float value) {  // bfloat16_from_float, inline
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
    return static_cast<Word>(value == value ? rounded : (bits >> 16) | 0x40U);
  }
};
struct Float16 {
  using Word = std::uint16_t;
  static Word from(float value) {  // float16_from_float, inline for normal numbers
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    if (magnitude < 0x38800000U || magnitude >= 0x477FF000U) return float16_from_float(value);
    const std::uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
    return static_cast<Word>(((bits >> 16) & 0x8000U) | ((rounded - 0x38000000U) >> 13));
  }
};

// `f` with the type that rounds to `dtype`: float32, bfloat16 or float16.
template <typename F>
void with_rounding(DType dtype, F&& f) {
  if (dtype == DType::bfloat16) return f(BFloat16{});
  if (dtype == DType::float16) return f(Float16{});
  f(Float32{});
}

}  // namespace shardrift
