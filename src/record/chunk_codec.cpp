#include "record/chunk_codec.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "common/error.hpp"
#include "record/fletcher32.hpp"

namespace shardrift::record {
namespace {

// Byte j of every element, then byte j + 1 of every element.
template <std::size_t kBytes>
void shuffle_of(const std::byte* from, std::size_t elements, std::byte* to) {
  for (std::size_t j = 0; j < kBytes; ++j)
    for (std::size_t i = 0; i < elements; ++i) to[j * elements + i] = from[i * kBytes + j];
}

void shuffle(const std::byte* from, std::size_t bytes, std::size_t element_bytes, std::byte* to) {
  switch (element_bytes) {
    case 2:
      return shuffle_of<2>(from, bytes / 2, to);
    case 4:
      return shuffle_of<4>(from, bytes / 4, to);
    case 8:
      return shuffle_of<8>(from, bytes / 8, to);
    default:
      throw failure("a chunk of elements of {} bytes cannot be compressed", element_bytes);
  }
}

}  // namespace

std::uint32_t stored_fletcher32(const std::byte* data, std::size_t bytes) {
  const std::uint32_t sums = fletcher32(data, bytes);
  const auto zero = [](std::byte byte) { return byte == std::byte{0}; };
  std::uint32_t first = sums & 0xFFFFU;
  std::uint32_t second = sums >> 16U;
  if ((first == 0 || second == 0) && !std::all_of(data, data + bytes, zero)) {
    if (first == 0) first = 0xFFFF;
    if (second == 0) second = 0xFFFF;
  }
  return second << 16U | first;
}

EncodedChunk encode_chunk(std::byte* data, std::size_t bytes, std::size_t element_bytes, int deflate) {
  EncodedChunk chunk;
  if (deflate == 0) {
    const std::uint32_t checksum = stored_fletcher32(data, bytes);
    std::memcpy(data + bytes, &checksum, sizeof(checksum));
    chunk.bytes = {data, bytes + kChecksumBytes};
    chunk.extent = extent_of(chunk.bytes);
    return chunk;
  }
  std::vector<std::byte> shuffled(bytes);
  shuffle(data, bytes, element_bytes, shuffled.data());
  auto size = compressBound(static_cast<uLong>(bytes));
  chunk.own.resize(size + kChecksumBytes);
  if (compress2(reinterpret_cast<Bytef*>(chunk.own.data()), &size,
                reinterpret_cast<const Bytef*>(shuffled.data()), static_cast<uLong>(bytes), deflate) != Z_OK)
    throw failure("zlib cannot compress {} bytes at level {}", bytes, deflate);
  const std::uint32_t checksum = stored_fletcher32(chunk.own.data(), size);
  std::memcpy(chunk.own.data() + size, &checksum, sizeof(checksum));
  chunk.bytes = {chunk.own.data(), size + kChecksumBytes};
  chunk.extent = extent_of(chunk.bytes);
  return chunk;
}

}  // namespace shardrift::record
