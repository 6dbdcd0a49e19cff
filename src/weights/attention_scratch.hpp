// The memory in which decode attention on GPUs brings a row's keys together (model/cuda/attention_decode.cu):
// they are spread over the device in spans, and each leaves a part of the softmax here.
#pragma once
#include <cstdint>

#include "common/dtype.hpp"

namespace shardrift {

// Models whose attention GPUs compute on tensor cores, and spread over the device in decode.
inline bool has_tensor_attention(DType dtype, std::int64_t head_dim) {
  return size_of(dtype) == 2 && head_dim % 8 == 0 && head_dim <= 256;
}

inline constexpr std::int64_t kAttentionSpan = 256;  // keys: a constant of the numerics

// head_dim as the kernels have it, padded with zeros.
constexpr int padded_head_dim(std::int64_t head_dim) {
  return head_dim <= 64 ? 64 : head_dim <= 128 ? 128 : 256;
}

// Bytes of one row: 2 counters a head; of each head's spans 2 tops and sums, and head_dim values; float32.
constexpr std::int64_t attention_scratch(std::int64_t query_heads, std::int64_t head_dim,
                                         std::int64_t length) {
  const std::int64_t spans = (length + kAttentionSpan - 1) / kAttentionSpan;
  return 4 * query_heads * (2 + spans * (4 + padded_head_dim(head_dim)));
}

}  // namespace shardrift
