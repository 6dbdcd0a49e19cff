// Attention on tensor cores, where has_tensor_attention(). Two kernels, whose
// rows have the same bits (attention_tile.hpp): prefill, where rows of a sequence lie together, and decode,
// where each row has a sequence of its own and its keys are spread over the device.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cuda_runtime_api.h>

#include "model/backend.hpp"
#include "model/cuda/attention_tile.hpp"
#include "weights/attention_scratch.hpp"

namespace shardrift::cuda {

// Of the values, what one block sums.
constexpr int value_columns(int padded) {
  return padded < 128 ? padded : 128;
}

// visit(…, [&]<typename T, int kDim>() { … }) with the element type and the padded head_dim.
template <typename F>
void visit_tensor_attention(DType dtype, std::int64_t head_dim, F&& f) {
  const auto visit = [&]<typename T>() {
    switch (padded_head_dim(head_dim)) {
      case 64:
        return f.template operator()<T, 64>();
      case 128:
        return f.template operator()<T, 128>();
      default:
        return f.template operator()<T, 256>();
    }
  };
  if (dtype == DType::bfloat16) {
    visit.template operator()<c10::BFloat16>();
  } else {
    visit.template operator()<c10::Half>();
  }
}

void attention_prefill(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                       const CacheView& cache, const ScoreScale& scale, const Matrix& out,
                       cudaStream_t stream);
// Needs index.own_sequences and shape.scratch. rope: queries and keys are rotated here, and keys and values
// appended to the cache, where rotates_in_decode(); null: rope_and_cache has done so.
void attention_decode(const Matrix& qkv, const AttentionShape& shape, const RopeView* rope,
                      const RowIndex& index, const CacheView& cache, const ScoreScale& scale,
                      const Matrix& out, cudaStream_t stream);
bool rotates_in_decode(const RopeView& rope, std::int64_t head_dim);

}  // namespace shardrift::cuda
