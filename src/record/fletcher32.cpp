#include "record/fletcher32.hpp"

#include <array>
#include <bit>
#include <cstring>

#include "common/clones.hpp"

namespace shardrift::record {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kLanes = 16;
constexpr std::size_t kRounds = 256;  // of one block: keeps 32-bit lanes from running over

struct Sums {
  std::uint64_t first = 0;   // sum of the words
  std::uint64_t second = 0;  // sum of the running sums
};

// Lane j takes words j, j + 16, …: a[j] sums them, b[j] sums a[j] after every round. Word i of n counts n - i
// times in the second sum, that is 16 (rounds left) - j.
SHARDRIFT_CLONES void block_sums(const std::byte* data, Sums& sums) {
  std::array<std::uint32_t, kLanes> a{};
  std::array<std::uint32_t, kLanes> b{};
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::array<std::uint16_t, kLanes> words;
    std::memcpy(words.data(), data + round * sizeof(words), sizeof(words));
    for (std::size_t j = 0; j < kLanes; ++j) {
      a[j] += words[j];
      b[j] += a[j];
    }
  }
  sums = {};
  for (std::size_t j = 0; j < kLanes; ++j) {
    sums.first += a[j];
    sums.second += std::uint64_t{kLanes} * b[j] - std::uint64_t{j} * a[j];
  }
}

}  // namespace

std::uint32_t fletcher32(const std::byte* data, std::size_t bytes) {
  constexpr std::size_t kBlockWords = kLanes * kRounds;
  Sums total;
  std::size_t at = 0;
  for (; at + 2 * kBlockWords <= bytes; at += 2 * kBlockWords) {
    Sums block;
    block_sums(data + at, block);
    total.second = (total.second + kBlockWords * total.first + block.second) % 65535;
    total.first = (total.first + block.first) % 65535;
  }
  for (; at < bytes; at += 2) {
    std::uint16_t word = 0;  // an odd last byte is a word's first
    std::memcpy(&word, data + at, bytes - at < 2 ? 1 : 2);
    total.first = (total.first + word) % 65535;
    total.second = (total.second + total.first) % 65535;
  }
  // The words are big-endian: a swap of the bytes is a multiplication by 256 modulo 65535.
  const std::uint64_t first = total.first * 256 % 65535;
  const std::uint64_t second = total.second * 256 % 65535;
  return static_cast<std::uint32_t>(second << 16U | first);
}

}  // namespace shardrift::record
