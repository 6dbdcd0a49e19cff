#include "common/not_finite.hpp"

#include <cstring>

#include "common/clones.hpp"

namespace shardrift {
namespace {

// An element is not finite where all bits of its exponent (`mask`) are set.
// Whole blocks first, without a branch an element; then the element in its block.
constexpr std::size_t kBlock = 4096;

template <typename Word>
inline Word word_at(const std::byte* words, std::size_t i) {  // may be unaligned
  Word word;
  std::memcpy(&word, words + i * sizeof(Word), sizeof(Word));
  return word;
}

template <typename Word>
inline bool any_in(const std::byte* words, std::size_t count, Word mask) {
  Word found = 0;
  for (std::size_t i = 0; i < count; ++i)
    found |= static_cast<Word>((word_at<Word>(words, i) & mask) == mask ? 1 : 0);
  return found != 0;
}

SHARDRIFT_CLONES bool any16(const std::byte* words, std::size_t count, std::uint16_t mask) {
  return any_in(words, count, mask);
}
SHARDRIFT_CLONES bool any32(const std::byte* words, std::size_t count, std::uint32_t mask) {
  return any_in(words, count, mask);
}
SHARDRIFT_CLONES bool any64(const std::byte* words, std::size_t count, std::uint64_t mask) {
  return any_in(words, count, mask);
}

template <typename Word, typename Any>
std::int64_t first(std::span<const std::byte> bytes, Word mask, Any&& any) {
  const std::size_t count = bytes.size() / sizeof(Word);
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t size = count - begin < kBlock ? count - begin : kBlock;
    if (!any(bytes.data() + begin * sizeof(Word), size, mask)) continue;
    for (std::size_t i = begin; i < begin + size; ++i)
      if ((word_at<Word>(bytes.data(), i) & mask) == mask) return static_cast<std::int64_t>(i);
  }
  return -1;
}

}  // namespace

std::int64_t first_not_finite(std::span<const std::byte> words, DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return first<std::uint64_t>(words, 0x7FF0'0000'0000'0000U, any64);
    case DType::float16:
      return first<std::uint16_t>(words, 0x7C00U, any16);
    case DType::bfloat16:
      return first<std::uint16_t>(words, 0x7F80U, any16);
    default:
      return first<std::uint32_t>(words, 0x7F80'0000U, any32);
  }
}

}  // namespace shardrift
