// Chunks as HDF5's filters would store them, made by several threads: the library would make them one after
// another, under its lock. Private to src/record.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "record/seal.hpp"

namespace shardrift::record {

inline constexpr std::size_t kChecksumBytes = 4;

// The checksum as HDF5's filter stores it, which has two words for 0 modulo 65535: 0 where all data are 0.
std::uint32_t stored_fletcher32(const std::byte* data, std::size_t bytes);

struct EncodedChunk {
  std::span<const std::byte> bytes;  // for H5Dwrite_chunk; into `own`, or where the data lie
  Extent extent;                     // of the bytes, but for where they lie
  std::vector<std::byte> own;
};

// Filters fletcher32, and with deflate > 0 shuffle, deflate, fletcher32. data: the chunk's elements, whole,
// with room for kChecksumBytes behind them, which is written without deflate.
EncodedChunk encode_chunk(std::byte* data, std::size_t bytes, std::size_t element_bytes, int deflate);

}  // namespace shardrift::record
