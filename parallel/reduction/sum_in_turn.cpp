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
// As float_from_bfloat16 and bfloat16_from_float, in a form that vectorizes.
inline float widened(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
}
inline float widened(Float16 value) {
  return float_from_float16(value.bits);
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
  out.bits = float16_from_float(value);
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

}  // namespace

void sum_in_turn(std::span<const void* const> messages, std::int64_t count, DType dtype, void* out) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return sum_doubles(messages, count, static_cast<double*>(out));
    case DType::bfloat16:
      return sum_bfloats(messages, count, static_cast<BFloat16*>(out));
    case DType::float16:
      return sum_as(messages, count, static_cast<Float16*>(out));
    default:
      return sum_floats(messages, count, static_cast<float*>(out));
  }
}

}  // namespace shardrift
