#include "common/dtype.hpp"

#include <array>
#include <bit>
#include <cmath>

#include "common/error.hpp"

namespace shardrift {
namespace {
struct Entry {
  DType dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array<Entry, 5> kTypes{{{DType::float64, "float64", 8},
                                       {DType::float32, "float32", 4},
                                       {DType::tf32, "tf32", 4},
                                       {DType::float16, "float16", 2},
                                       {DType::bfloat16, "bfloat16", 2}}};
const Entry& entry(DType dtype) {
  return kTypes[static_cast<std::size_t>(dtype)];
}
}  // namespace

std::size_t size_of(DType dtype) {
  return entry(dtype).size;
}
std::string_view name_of(DType dtype) {
  return entry(dtype).name;
}
DType storage_of(DType dtype) {
  return dtype == DType::tf32 ? DType::float32 : dtype;
}

DType dtype_from_name(std::string_view name) {
  for (const auto& type : kTypes)
    if (type.name == name) return type.dtype;
  throw usage_error("unknown dtype '{}': use float64, float32, tf32, float16 or bfloat16", name);
}

float float_from_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

float float_from_float16(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1FU;
  const std::uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);  // subnormal or zero, exact
  return sign != 0 ? -magnitude : magnitude;
}

std::uint16_t bfloat16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

std::uint16_t float16_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint32_t>((bits >> 16) & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // rounds past 65504
  if (magnitude < 0x38800000U) {  // below 2^-14: a multiple of 2^-24, the adder rounds it to nearest even
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

}  // namespace shardrift
