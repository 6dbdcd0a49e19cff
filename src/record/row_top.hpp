// The most likely tokens of a row of logits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/dtype.hpp"

namespace shardrift::record {

// The ids.size() largest elements of a row, most likely first and lowest id first at ties, and their float64
// log-softmax, rounded. row: finite raw words of dtype, one of the stored types, at least as many as ids. The
// same bits on every x86-64.
void top_of(std::span<const std::byte> row, DType dtype, std::span<std::int32_t> ids,
            std::span<float> log_probabilities);

}  // namespace shardrift::record
