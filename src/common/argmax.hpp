// Which token a row of logits chooses.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/dtype.hpp"

namespace shardrift {

// What a run has to know of a row before it goes on, found in one pass over it.
struct Choice {
  std::int32_t token = -1;  // index of the largest value, lowest index at ties; -1 where the row holds a NaN
  bool finite = true;       // no element is infinite or NaN
};
// row: raw words of dtype, one of the stored types.
Choice choose(std::span<const std::byte> row, DType dtype);

// The token alone.
std::int32_t argmax(std::span<const std::byte> row, DType dtype);

}  // namespace shardrift
