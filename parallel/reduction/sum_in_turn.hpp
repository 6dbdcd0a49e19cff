// What our own all-reduces compute on CPUs: messages added one after the other in float32 (float64 of float64
// ones) and rounded once, to nearest even. The bits of scalar_fold by a left-to-right tree with that
// accumulator.
#pragma once
#include <cstdint>
#include <span>

#include "common/dtype.hpp"

namespace shardrift {

// out = messages[0] + messages[1] + …, `count` elements each; out may be one of them.
void sum_in_turn(std::span<const void* const> messages, std::int64_t count, DType dtype, void* out);

}  // namespace shardrift
