#include "weights/convert.hpp"

#include <bit>
#include <cstring>

#include "common/clones.hpp"

namespace shardrift {
namespace {

// The rules of common/dtype.hpp once more, without a branch, so that loops over them are vectors' work.
inline float widened_float16(std::uint16_t bits) {
  const std::uint32_t sign = std::uint32_t{bits & 0x8000U} << 16;
  const std::uint32_t rest = std::uint32_t{bits & 0x7FFFU} << 13;
  const float number = std::bit_cast<float>(rest) * 0x1p112F;  // exact, of subnormals too
  const std::uint32_t beyond = (bits & 0x7C00U) == 0x7C00U ? rest | 0x7F800000U : 0;
  return std::bit_cast<float>(sign | (beyond != 0 ? beyond : std::bit_cast<std::uint32_t>(number)));
}

inline float widened_bfloat16(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}

inline std::uint16_t narrowed_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t nan = (bits >> 16) | 0x40U;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFFU) > 0x7F800000U ? nan : rounded);
}

inline std::uint16_t narrowed_to_float16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  const std::uint32_t normal = (magnitude + 0xFFFU + ((magnitude >> 13) & 1U) - 0x38000000U) >> 13;
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  std::uint32_t number = magnitude < 0x38800000U ? subnormal : normal;
  number = magnitude >= 0x477FF000U ? 0x7C00U : number;
  number = magnitude > 0x7F800000U ? 0x7E00U : number;
  return static_cast<std::uint16_t>(((bits >> 16) & 0x8000U) | number);
}

template <typename From, typename To, typename F>
inline void each(const std::byte* from, std::byte* to, std::size_t count, F&& f) {
  for (std::size_t i = 0; i < count; ++i) {
    From word;
    std::memcpy(&word, from + i * sizeof(From), sizeof(From));
    const To result = f(word);
    std::memcpy(to + i * sizeof(To), &result, sizeof(To));
  }
}

SHARDRIFT_CLONES void bfloat16_to_float32(const std::byte* from, std::byte* to, std::size_t count) {
  each<std::uint16_t, float>(from, to, count, widened_bfloat16);
}
SHARDRIFT_CLONES void float16_to_float32(const std::byte* from, std::byte* to, std::size_t count) {
  each<std::uint16_t, float>(from, to, count, widened_float16);
}
SHARDRIFT_CLONES void float32_to_bfloat16(const std::byte* from, std::byte* to, std::size_t count) {
  each<float, std::uint16_t>(from, to, count, narrowed_to_bfloat16);
}
SHARDRIFT_CLONES void float32_to_float16(const std::byte* from, std::byte* to, std::size_t count) {
  each<float, std::uint16_t>(from, to, count, narrowed_to_float16);
}
SHARDRIFT_CLONES void float32_to_float64(const std::byte* from, std::byte* to, std::size_t count) {
  each<float, double>(from, to, count, [](float value) { return static_cast<double>(value); });
}
SHARDRIFT_CLONES void float64_to_float32(const std::byte* from, std::byte* to, std::size_t count) {
  each<double, float>(from, to, count, [](double value) { return static_cast<float>(value); });
}

using Step = void (*)(const std::byte* from, std::byte* to, std::size_t count);

// Null: it is float32 already.
Step to_float32(DType type) {
  switch (storage_of(type)) {
    case DType::float64:
      return float64_to_float32;
    case DType::float16:
      return float16_to_float32;
    case DType::bfloat16:
      return bfloat16_to_float32;
    default:
      return nullptr;
  }
}
Step from_float32(DType type) {
  switch (storage_of(type)) {
    case DType::float64:
      return float32_to_float64;
    case DType::float16:
      return float32_to_float16;
    case DType::bfloat16:
      return float32_to_bfloat16;
    default:
      return nullptr;
  }
}

}  // namespace

void convert(const std::byte* from, DType from_type, std::byte* to, DType to_type, std::size_t count) {
  if (storage_of(from_type) == storage_of(to_type)) {
    std::memcpy(to, from, count * size_of(to_type));
    return;
  }
  const Step widen = to_float32(from_type);
  const Step narrow = from_float32(to_type);
  if (narrow == nullptr) return widen(from, to, count);
  if (widen == nullptr) return narrow(from, to, count);
  constexpr std::size_t kBlock = 2048;
  float between[kBlock];
  auto* const words = reinterpret_cast<std::byte*>(between);
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t size = count - begin < kBlock ? count - begin : kBlock;
    widen(from + begin * size_of(from_type), words, size);
    narrow(words, to + begin * size_of(to_type), size);
  }
}

}  // namespace shardrift
