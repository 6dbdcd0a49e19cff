// Stored numbers in another dtype.
#pragma once
#include <cstddef>
#include <cstdint>

#include "common/dtype.hpp"

namespace shardrift {

// `count` numbers, which may be unaligned: exact where `to_type` is wider; else rounded once, to nearest even
// (float64 to 16 bits: by way of float32, as rounded_to does).
void convert(const std::byte* from, DType from_type, std::byte* to, DType to_type, std::size_t count);

}  // namespace shardrift
