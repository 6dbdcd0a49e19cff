// The hash that checksums of tensors are sums of. A tensor's checksum is the sum modulo 2^64 of mix64(index,
// bits) over its elements: sums of parts add up to the sum of the whole, whoever holds which part, in any
// order. Equal tensors have equal checksums; different ones differ but for a chance of about 2^-64 (it is no
// cryptographic hash: it finds rounding, not forgery).
#pragma once
#include <cstdint>

#include "common/host_device.hpp"

namespace shardrift {

// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014;
// constants: Stafford's variant 13): a bijection that changes half of the output bits for each input bit.
SHARDRIFT_DEVICE constexpr std::uint64_t finalize64(std::uint64_t z) {
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

// index: of the element in the unsharded tensor; bits: its stored word, zero-extended. The index is mixed
// before the word is added, or moving 1 from word to index would change nothing.
SHARDRIFT_DEVICE constexpr std::uint64_t mix64(std::uint64_t index, std::uint64_t bits) {
  return finalize64(finalize64((index + 1) * 0x9E3779B97F4A7C15ULL) ^ bits);
}

}  // namespace shardrift
