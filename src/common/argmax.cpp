#include "common/argmax.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "common/clones.hpp"
#include "common/number_order.hpp"

namespace shardrift {
namespace {

template <typename Signed>
struct Highest {
  Signed key = std::numeric_limits<Signed>::min();
  Signed magnitude = 0;  // the largest; above infinity's: there is a NaN
};

template <typename Signed>
inline Highest<Signed> highest_of(const Signed* words, std::size_t count) {
  Highest<Signed> found;
  for (std::size_t i = 0; i < count; ++i) {
    const Signed key = ordered(words[i]);
    found.key = key > found.key ? key : found.key;
    const auto magnitude = static_cast<Signed>(words[i] & std::numeric_limits<Signed>::max());
    found.magnitude = magnitude > found.magnitude ? magnitude : found.magnitude;
  }
  return found;
}

SHARDRIFT_CLONES Highest<std::int16_t> highest16(const std::int16_t* words, std::size_t count) {
  return highest_of(words, count);
}
SHARDRIFT_CLONES Highest<std::int32_t> highest32(const std::int32_t* words, std::size_t count) {
  return highest_of(words, count);
}
SHARDRIFT_CLONES Highest<std::int64_t> highest64(const std::int64_t* words, std::size_t count) {
  return highest_of(words, count);
}

// In blocks, because the words may be unaligned, and the block that holds the largest is looked through
// again.
constexpr std::size_t kBlock = 2048;

template <typename Signed, typename HighestOf>
Choice largest(std::span<const std::byte> row, Signed infinity, HighestOf&& highest) {
  const std::size_t count = row.size() / sizeof(Signed);
  std::array<Signed, kBlock> words;
  const auto load = [&](std::size_t begin) {
    const std::size_t size = std::min(kBlock, count - begin);
    std::memcpy(words.data(), row.data() + begin * sizeof(Signed), size * sizeof(Signed));
    return size;
  };
  Signed best = std::numeric_limits<Signed>::min();
  std::size_t block = count;
  Choice choice;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const auto found = highest(words.data(), load(begin));
    if (found.magnitude > infinity) return {-1, false};
    if (found.magnitude == infinity) choice.finite = false;
    if (block != count && same_zeros(found.key) <= best) continue;
    best = same_zeros(found.key);
    block = begin;
  }
  if (block == count) return choice;  // no elements
  const std::size_t size = load(block);
  for (std::size_t i = 0; i < size; ++i)
    if (same_zeros(ordered(words[i])) == best) {
      choice.token = static_cast<std::int32_t>(block + i);
      break;
    }
  return choice;
}

}  // namespace

Choice choose(std::span<const std::byte> row, DType dtype) {
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

std::int32_t argmax(std::span<const std::byte> row, DType dtype) {
  return choose(row, dtype).token;
}

}  // namespace shardrift
