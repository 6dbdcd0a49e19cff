#include "common/sketch.hpp"

#include <cstring>

#include "common/mix64.hpp"

namespace shardrift {
namespace {

constexpr std::uint64_t kSigns = 0x5B4A3C2D1E0F;  // apart from what checksums hash; any number would do

template <typename Word, typename Widen>
void add_words(const std::byte* words, std::int64_t count, std::int64_t index, double* sketches,
               const Widen& widen) {
  for (std::int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, words + static_cast<std::size_t>(i) * sizeof word, sizeof word);
    const auto value = static_cast<double>(widen(word));
    const std::uint64_t signs = mix64(static_cast<std::uint64_t>(index + i), kSigns);
    for (int k = 0; k < kSketches; ++k)
      sketches[k] += ((signs >> static_cast<unsigned>(k)) & 1U) != 0 ? value : -value;
  }
}

}  // namespace

void add_to_sketch(const std::byte* words, std::int64_t count, DType dtype, std::int64_t index,
                   double* sketches) {
  const auto same = [](auto value) { return value; };
  switch (storage_of(dtype)) {
    case DType::float64:
      return add_words<double>(words, count, index, sketches, same);
    case DType::float16:
      return add_words<std::uint16_t>(words, count, index, sketches, float_from_float16);
    case DType::bfloat16:
      return add_words<std::uint16_t>(words, count, index, sketches, float_from_bfloat16);
    default:
      return add_words<float>(words, count, index, sketches, same);
  }
}

}  // namespace shardrift
