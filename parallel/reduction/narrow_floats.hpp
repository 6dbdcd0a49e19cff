// 16-bit floats widened and rounded in the middle of loops: the conversions of common/dtype.hpp to the bit,
// inline and without a branch, so that loops over them vectorize.
#pragma once
#include <bit>
#include <cstdint>

namespace shardrift {

struct BFloat16 {
  std::uint16_t bits;
};
struct Float16 {
  std::uint16_t bits;
};

inline float widened(float value) {
  return value;
}
inline double widened(double value) {
  return value;
}
inline float widened(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
}
inline float widened(Float16 value) {
  const std::uint32_t word = value.bits;
  const std::uint32_t magnitude = (word & 0x7FFFU) << 13U;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;  // exact, subnormals too
  const std::uint32_t finite = std::bit_cast<std::uint32_t>(scaled);
  const std::uint32_t bits = magnitude >= 0x0F800000U ? magnitude | 0x7F800000U : finite;
  return std::bit_cast<float>(bits | (word & 0x8000U) << 16U);
}

inline void round_to(float value, float& out) {
  out = value;
}
inline void round_to(double value, double& out) {
  out = value;
}
inline void round_to(float value, BFloat16& out) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
  const std::uint32_t not_a_number = (bits >> 16U) | 0x40U;
  out.bits = static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? not_a_number : rounded);
}
inline void round_to(float value, Float16& out) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  const float shifted = std::bit_cast<float>(magnitude) + 0.5F;  // the adder rounds to a multiple of 2^-24
  const std::uint32_t small = std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U;
  const std::uint32_t usual = (magnitude + 0xFFFU + ((magnitude >> 13U) & 1U) - 0x38000000U) >> 13U;
  std::uint32_t rounded = magnitude < 0x38800000U ? small : usual;
  rounded = magnitude >= 0x477FF000U ? 0x7C00U : rounded;  // past 65504
  rounded = magnitude > 0x7F800000U ? 0x7E00U : rounded;
  out.bits = static_cast<std::uint16_t>((bits >> 16U & 0x8000U) | rounded);
}

}  // namespace shardrift
