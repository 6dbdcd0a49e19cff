#include "common/argmax.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "common/clones.hpp"

namespace shardrift {
namespace {

// A number's bits as an integer of the same order: IEEE 754 numbers are sorted by sign and magnitude.
// Integers, because loops over them are compiled to vectors whatever NaN and -0 would ask of a comparison of
// numbers.
template <typename Signed>
Signed ordered(Signed bits) {
  return bits < 0 ? static_cast<Signed>(bits ^ std::numeric_limits<Signed>::max()) : bits;
}

template <typename Signed>
struct Highest {
  Signed key = std::numeric_limits<Signed>::min();
  Signed nan = 0;  // not 0: there is one
};

template <typename Signed>
inline Highest<Signed> highest_of(const Signed* words, std::size_t count, Signed infinity) {
  Highest<Signed> found;
  for (std::size_t i = 0; i < count; ++i) {
    const Signed key = ordered(words[i]);
    found.key = key > found.key ? key : found.key;
    const auto magnitude = static_cast<Signed>(words[i] & std::numeric_limits<Signed>::max());
    found.nan = static_cast<Signed>(found.nan | static_cast<Signed>(magnitude > infinity ? 1 : 0));
  }
  return found;
}

SHARDRIFT_CLONES Highest<std::int16_t> highest16(const std::int16_t* words, std::size_t count,
                                                 std::int16_t infinity) {
  return highest_of(words, count, infinity);
}
SHARDRIFT_CLONES Highest<std::int32_t> highest32(const std::int32_t* words, std::size_t count,
                                                 std::int32_t infinity) {
  return highest_of(words, count, infinity);
}
SHARDRIFT_CLONES Highest<std::int64_t> highest64(const std::int64_t* words, std::size_t count,
                                                 std::int64_t infinity) {
  return highest_of(words, count, infinity);
}

// In blocks, because the words may be unaligned, and the block that holds the largest is looked through
// again.
constexpr std::size_t kBlock = 2048;

template <typename Signed, typename HighestOf>
std::int32_t largest(std::span<const std::byte> row, Signed infinity, HighestOf&& highest) {
  const std::size_t count = row.size() / sizeof(Signed);
  std::array<Signed, kBlock> words;
  const auto load = [&](std::size_t begin) {
    const std::size_t size = std::min(kBlock, count - begin);
    std::memcpy(words.data(), row.data() + begin * sizeof(Signed), size * sizeof(Signed));
    return size;
  };
  // 0 and -0 are equal: the key of either, so that the first of them is taken.
  const auto number = [](Signed key) { return key == -1 ? Signed{0} : key; };
  Signed best = std::numeric_limits<Signed>::min();
  std::size_t block = count;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const auto found = highest(words.data(), load(begin), infinity);
    if (found.nan != 0) return -1;
    if (block != count && number(found.key) <= best) continue;
    best = number(found.key);
    block = begin;
  }
  if (block == count) return -1;  // no elements
  const std::size_t size = load(block);
  for (std::size_t i = 0; i < size; ++i)
    if (number(ordered(words[i])) == best) return static_cast<std::int32_t>(block + i);
  return -1;
}

}  // namespace

std::int32_t argmax(std::span<const std::byte> row, DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return largest<std::int64_t>(row, 0x7FF0'0000'0000'0000, highest64);
    case DType::float16:
      return largest<std::int16_t>(row, 0x7C00, highest16);
    case DType::bfloat16:
      return largest<std::int16_t>(row, 0x7F80, highest16);
    default:
      return largest<std::int32_t>(row, 0x7F80'0000, highest32);
  }
}

}  // namespace shardrift
