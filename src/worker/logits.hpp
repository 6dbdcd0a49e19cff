// One row of logits on the host: what the run itself must know of it.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "common/dtype.hpp"
#include "record/record.hpp"

namespace shardrift {

// Index of the largest value, lowest index at ties; -1 where the row holds a NaN.
std::int32_t argmax(std::span<const std::byte> row, DType dtype);

// The k largest of each row with their float64 log-softmax, appended to `top`.
void append_top(std::span<const std::byte> row, DType dtype, record::Top& top);

}  // namespace shardrift
