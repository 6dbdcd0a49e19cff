// One row of logits on the host: what the run itself must know of it.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "common/argmax.hpp"
#include "common/dtype.hpp"
#include "record/record.hpp"

namespace shardrift {

// The k largest of each row with their float64 log-softmax, appended to `top`.
void append_top(std::span<const std::byte> row, DType dtype, record::Top& top);

}  // namespace shardrift
