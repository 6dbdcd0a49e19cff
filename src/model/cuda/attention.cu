// Causal attention over the KV cache, prefill and decode alike: which kernel serves it, and the one for what
// tensor cores have no product for (float32, float64, odd head_dim).
//
// The keys of a row are cut into tiles of 32 at absolute positions; tile i belongs to warp i mod 8, which
// keeps a running softmax (Milakov and Gimelshein 2018); the 8 states meet in warp order. Tile and split are
// constants, and a row skips tiles outside its own keys, so its bits do not depend on other rows, heads,
// batch or device.
//
// A block serves kRows rows of one head. Lanes are keys while scores are made, elements of head_dim while
// values are summed.
#include <cmath>

#include "model/cuda/kernels.hpp"
#include "model/cuda/tensor_attention.hpp"
#include "model/cuda/warp.hpp"
#include "model/scalar.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kTile = 32;
constexpr int kSplits = 8;

template <typename C>
__device__ C warp_max(C value) {
  for (int offset = 16; offset > 0; offset /= 2)
    value = max(value, __shfl_xor_sync(kWholeWarp, value, offset));
  return value;
}

// scores[r] += query[.][r] · key; kVector elements are loaded at once (16 bytes), or one where rows are
// unaligned.
template <typename T, int kRows, int kVector>
__device__ void dot_rows(const T* key, const Compute<T>* query, int dim, Compute<T>* scores) {
  using C = Compute<T>;
  for (int d = 0; d < dim; d += kVector) {
    alignas(16) T elements[kVector];
    if constexpr (kVector == 1) {
      elements[0] = key[d];
    } else {
      *reinterpret_cast<uint4*>(elements) = *reinterpret_cast<const uint4*>(key + d);
    }
#pragma unroll
    for (int i = 0; i < kVector; ++i) {
      const C k = static_cast<C>(elements[i]);
#pragma unroll
      for (int r = 0; r < kRows; ++r) scores[r] += query[(d + i) * kRows + r] * k;
    }
  }
}

template <typename T, int kRows, int kPerLane, bool kAligned>
__global__ void __launch_bounds__(kTile* kSplits)
    attention_kernel(const T* qkv, std::int64_t qkv_cols, AttentionShape shape, RowIndex index,
                     CacheView cache, Compute<T> scale, Compute<T> cap, T* out, std::int64_t out_cols) {
  using C = Compute<T>;
  extern __shared__ std::byte memory[];
  const int dim = static_cast<int>(cache.head_dim);
  C* query = reinterpret_cast<C*>(memory);  // [dim][kRows], scaled later
  C* tops = query + dim * kRows;            // [kSplits][kRows]
  C* sums = tops + kSplits * kRows;         // [kSplits][kRows]
  C* parts = sums + kSplits * kRows;        // [kSplits][kRows][dim]
  const int lane = threadIdx.x % kTile;
  const int warp = threadIdx.x / kTile;
  const std::int64_t head = blockIdx.y;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) * kRows;
  const C infinity = static_cast<C>(INFINITY);

  int begin[kRows];
  int end[kRows];
  int last = 0;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const bool exists = first_row + r < index.rows;
    end[r] = exists ? index.positions[first_row + r] + 1 : 0;
    begin[r] = shape.window > 0 && end[r] > shape.window ? end[r] - static_cast<int>(shape.window) : 0;
    last = max(last, end[r]);
  }
  int start = last;
#pragma unroll
  for (int r = 0; r < kRows; ++r)
    if (end[r] > 0) start = min(start, begin[r]);
  for (int i = threadIdx.x; i < dim * kRows; i += blockDim.x) {
    const int r = i % kRows;
    query[i] = end[r] > 0 ? static_cast<C>(qkv[(first_row + r) * qkv_cols + head * dim + i / kRows]) : C(0);
  }
  __syncthreads();

  const std::int64_t at =
      (index.slots[first_row] * cache.kv_heads + shape.local_kv[head]) * cache.max_length * cache.head_dim;
  const T* keys = static_cast<const T*>(cache.keys) + at;
  const T* values = static_cast<const T*>(cache.values) + at;
  C top[kRows];
  C sum[kRows];
  C mine[kRows][kPerLane];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    top[r] = -infinity;
    sum[r] = 0;
#pragma unroll
    for (int n = 0; n < kPerLane; ++n) mine[r][n] = 0;
  }
  for (int tile = start / kTile; tile * kTile < last; ++tile) {
    if (tile % kSplits != warp) continue;
    const int base = tile * kTile;
    C scores[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) scores[r] = 0;
    if (base + lane < last)
      dot_rows<T, kRows, kAligned ? 16 / sizeof(T) : 1>(keys + static_cast<std::int64_t>(base + lane) * dim,
                                                        query, dim, scores);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (base >= end[r] || base + kTile <= begin[r]) {
        scores[r] = 0;  // a weight of zero that is never added: the row has no key here
        continue;
      }
      const bool seen = base + lane >= begin[r] && base + lane < end[r];
      C scaled = scores[r] * scale;
      if (cap != 0) scaled = cap * tanh(scaled / cap);
      const C score = seen ? scaled : -infinity;
      const C higher = max(top[r], warp_max(score));
      const C shrink = exp(top[r] - higher);
      scores[r] = exp(score - higher);
      sum[r] = sum[r] * shrink + warp_sum(scores[r]);
      top[r] = higher;
#pragma unroll
      for (int n = 0; n < kPerLane; ++n) mine[r][n] *= shrink;
    }
    const int keys_here = min(kTile, last - base);
    for (int k = 0; k < keys_here; ++k) {
      C value[kPerLane];
#pragma unroll
      for (int n = 0; n < kPerLane; ++n) {
        const int d = lane + n * kTile;
        value[n] = d < dim ? static_cast<C>(values[static_cast<std::int64_t>(base + k) * dim + d]) : C(0);
      }
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const C weight = __shfl_sync(kWholeWarp, scores[r], k);
        if (base + k < begin[r] || base + k >= end[r]) continue;
#pragma unroll
        for (int n = 0; n < kPerLane; ++n) mine[r][n] += weight * value[n];
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (lane == 0) {
      tops[warp * kRows + r] = top[r];
      sums[warp * kRows + r] = sum[r];
    }
#pragma unroll
    for (int n = 0; n < kPerLane; ++n) {
      const int d = lane + n * kTile;
      if (d < dim) parts[(warp * kRows + r) * dim + d] = mine[r][n];
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kRows * dim; i += blockDim.x) {
    const int r = i / dim;
    if (first_row + r >= index.rows) continue;
    C highest = -infinity;
    for (int w = 0; w < kSplits; ++w) highest = max(highest, tops[w * kRows + r]);
    C total = 0;
    if (shape.sinks != nullptr) {  // a logit without a value
      const C sink = static_cast<C>(static_cast<const T*>(shape.sinks)[head]);
      highest = max(highest, sink);
      total = exp(sink - highest);
    }
    C element = 0;
    for (int w = 0; w < kSplits; ++w) {
      const C factor = exp(tops[w * kRows + r] - highest);  // 0 for a warp that saw no key
      total += sums[w * kRows + r] * factor;
      element += parts[(w * kRows + r) * dim + i % dim] * factor;
    }
    out[(first_row + r) * out_cols + head * dim + i % dim] = static_cast<T>(element / total);
  }
}

template <typename T, int kRows, int kPerLane>
void launch(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index, const CacheView& cache,
            const Matrix& out, cudaStream_t stream) {
  using C = Compute<T>;
  const auto dim = static_cast<std::size_t>(cache.head_dim);
  const std::size_t shared = sizeof(C) * kRows * (dim + 2 * kSplits + kSplits * dim);
  const dim3 grid(static_cast<unsigned>((index.rows + kRows - 1) / kRows),
                  static_cast<unsigned>(shape.query_heads));
  const C scale =
      shape.scale != 0 ? static_cast<C>(shape.scale) : C(1) / sqrt(static_cast<C>(cache.head_dim));
  const auto kernel = dim * sizeof(T) % 16 == 0 ? attention_kernel<T, kRows, kPerLane, true>
                                                : attention_kernel<T, kRows, kPerLane, false>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
  kernel<<<grid, kTile * kSplits, shared, stream>>>(static_cast<const T*>(qkv.data), qkv.cols, shape, index,
                                                    cache, scale, static_cast<C>(shape.softcap),
                                                    static_cast<T*>(out.data), out.cols);
}

template <typename T, int kRows>
void launch_for_dim(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                    const CacheView& cache, const Matrix& out, cudaStream_t stream) {
  if (cache.head_dim <= 64) {
    launch<T, kRows, 2>(qkv, shape, index, cache, out, stream);
  } else if (cache.head_dim <= 128) {
    launch<T, kRows, 4>(qkv, shape, index, cache, out, stream);
  } else {
    launch<T, kRows, 8>(qkv, shape, index, cache, out, stream);
  }
}

ScoreScale score_scale(const AttentionShape& shape, std::int64_t head_dim) {
  constexpr double kLog2E = 1.4426950408889634;
  const double scale = shape.scale != 0 ? shape.scale : 1 / std::sqrt(static_cast<double>(head_dim));
  if (shape.softcap == 0) return {static_cast<float>(scale * kLog2E), 0};
  return {static_cast<float>(scale / shape.softcap), static_cast<float>(shape.softcap * kLog2E)};
}

bool spreads(const AttentionShape& shape, const RowIndex& index, const CacheView& cache, DType dtype) {
  return has_tensor_attention(dtype, cache.head_dim) && index.own_sequences && shape.scratch != nullptr;
}

}  // namespace

bool rope_and_attention(const Matrix& qkv, const AttentionShape& shape, const RopeView& rope,
                        const RowIndex& index, const CacheView& cache, const Matrix& out,
                        cudaStream_t stream) {
  if (!spreads(shape, index, cache, out.dtype) || !rotates_in_decode(rope, cache.head_dim)) return false;
  attention_decode(qkv, shape, &rope, index, cache, score_scale(shape, cache.head_dim), out, stream);
  return true;
}

void attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index, const CacheView& cache,
               const Matrix& out, cudaStream_t stream) {
  if (has_tensor_attention(out.dtype, cache.head_dim)) {
    const ScoreScale scale = score_scale(shape, cache.head_dim);
    if (spreads(shape, index, cache, out.dtype))
      return attention_decode(qkv, shape, nullptr, index, cache, scale, out, stream);
    return attention_prefill(qkv, shape, index, cache, scale, out, stream);
  }
  visit_dtype(out.dtype, [&]<typename T>() {
    if (index.one_sequence) {  // four rows share each key they load; the arithmetic of a row is the same
      launch_for_dim<T, 4>(qkv, shape, index, cache, out, stream);
    } else {
      launch_for_dim<T, 1>(qkv, shape, index, cache, out, stream);
    }
  });
}

}  // namespace shardrift::cuda
