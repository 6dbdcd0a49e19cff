// Infinities and NaN among stored numbers.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/dtype.hpp"

namespace shardrift {

// Index of the first element that is infinite or NaN; -1: none. words: raw little-endian words of dtype.
std::int64_t first_not_finite(std::span<const std::byte> words, DType dtype);

}  // namespace shardrift
