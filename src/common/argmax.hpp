// Which token a row of logits chooses.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/dtype.hpp"

namespace shardrift {

// Index of the largest value, lowest index at ties; -1 where the row holds a NaN. row: raw words of dtype,
// one of the stored types.
std::int32_t argmax(std::span<const std::byte> row, DType dtype);

}  // namespace shardrift
