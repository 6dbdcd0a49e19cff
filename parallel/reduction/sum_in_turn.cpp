#include "parallel/reduction/sum_in_turn.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "common/clones.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kBlock = 1024;  // elements whose sums stay in the first-level cache

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
// As the conversions of common/dtype.hpp, in a form that vectorizes: without a branch.
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

// Element by element: the clones give the same bits.
template <typename T>
[[gnu::always_inline]] inline void sum_as(std::span<const void* const> messages, std::int64_t count, T* out) {
  using Sum = decltype(widened(T{}));
  std::array<Sum, kBlock> sums;
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t block = std::min(kBlock, count - begin);
    const T* first = static_cast<const T*>(messages.front()) + begin;
    for (std::int64_t i = 0; i < block; ++i) sums[static_cast<std::size_t>(i)] = widened(first[i]);
    for (const void* message : messages.subspan(1)) {
      const T* more = static_cast<const T*>(message) + begin;
      for (std::int64_t i = 0; i < block; ++i) sums[static_cast<std::size_t>(i)] += widened(more[i]);
    }
    for (std::int64_t i = 0; i < block; ++i) round_to(sums[static_cast<std::size_t>(i)], out[begin + i]);
  }
}

SHARDRIFT_CLONES void sum_floats(std::span<const void* const> messages, std::int64_t count, float* out) {
  sum_as(messages, count, out);
}
SHARDRIFT_CLONES void sum_doubles(std::span<const void* const> messages, std::int64_t count, double* out) {
  sum_as(messages, count, out);
}
SHARDRIFT_CLONES void sum_bfloats(std::span<const void* const> messages, std::int64_t count, BFloat16* out) {
  sum_as(messages, count, out);
}
SHARDRIFT_CLONES void sum_halves(std::span<const void* const> messages, std::int64_t count, Float16* out) {
  sum_as(messages, count, out);
}

}  // namespace

void sum_in_turn(std::span<const void* const> messages, std::int64_t count, DType dtype, void* out) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return sum_doubles(messages, count, static_cast<double*>(out));
    case DType::bfloat16:
      return sum_bfloats(messages, count, static_cast<BFloat16*>(out));
    case DType::float16:
      return sum_halves(messages, count, static_cast<Float16*>(out));
    default:
      return sum_floats(messages, count, static_cast<float*>(out));
  }
}

}  // namespace shardrift
