// The checksum of HDF5's fletcher32 filter (H5_checksum_fletcher32): Fletcher's two running sums modulo 65535
// over big-endian 16-bit words, the second in the upper half. Private to src/record.
#pragma once
#include <cstddef>
#include <cstdint>

namespace shardrift::record {

std::uint32_t fletcher32(const std::byte* data, std::size_t bytes);

// 0 and 65535 are one number modulo 65535; HDF5 stores either.
inline bool same_fletcher32(std::uint32_t a, std::uint32_t b) {
  return (a & 0xFFFFU) % 65535 == (b & 0xFFFFU) % 65535 && (a >> 16U) % 65535 == (b >> 16U) % 65535;
}

}  // namespace shardrift::record
