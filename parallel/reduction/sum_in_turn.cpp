#include "parallel/reduction/sum_in_turn.hpp"

#include <algorithm>
#include <array>

#include "common/clones.hpp"
#include "parallel/reduction/narrow_floats.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kBlock = 1024;  // elements whose sums stay in the first-level cache

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
