// Queries and keys rotated in place, keys and values appended to the cache.
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/element_groups.hpp"
#include "model/cuda/kernels.hpp"
#include "model/cuda/rotation.hpp"
#include "model/scalar.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 64;

// Elements first to first + size of a head's queries or keys, and those `pairs` further on.
template <typename T, int kSize>
struct Pairs {
  alignas(kSize == 1 ? alignof(T) : 16) T first[kSize];
  alignas(kSize == 1 ? alignof(T) : 16) T second[kSize];
};

template <typename T, int kSize>
__device__ void copy(const T* from, T* to) {
  if constexpr (kSize == 1) {
    *to = *from;
  } else {
    alignas(16) T group[kGroup];
    load_group<T, true>(from, 0, kGroup, group);
    store_group<T, true>(to, 0, kGroup, group);
  }
}

// A thread has kSize elements of a row's head: it rotates them and those `pairs` further on, or copies them
// where they are of a value or are not rotated.
template <typename T, int kSize>
__global__ void rope_kernel(T* qkv, std::int64_t qkv_cols, int query_heads, RopeView rope, RowIndex index,
                            CacheView cache) {
  wait_for_previous();
  let_next_start();
  const int dim = static_cast<int>(cache.head_dim);
  const int kv_heads = static_cast<int>(cache.kv_heads);
  const int groups = dim / kSize;
  const int heads = query_heads + 2 * kv_heads;
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t row = at / (groups * heads);
  if (row >= index.rows) return;
  const int in_row = static_cast<int>(at - row * (groups * heads));
  const int head = in_row / groups;
  const int i = (in_row - head * groups) * kSize;
  const std::int64_t position = index.positions[row];
  T* const source = qkv + row * qkv_cols + static_cast<std::int64_t>(head) * dim;
  T* target = source;
  const bool value = head >= query_heads + kv_heads;
  if (head >= query_heads) {
    const int kv = value ? head - query_heads - kv_heads : head - query_heads;
    target = static_cast<T*>(value ? cache.values : cache.keys) +
             ((index.slots[row] * cache.kv_heads + kv) * cache.max_length + position) * dim;
  }
  const int half = static_cast<int>(rope.pairs);
  if (value || i >= 2 * half) {
    if (target != source) copy<T, kSize>(source + i, target + i);
    return;
  }
  if (i >= half) return;  // the partner's
  const std::int64_t beyond = index.lengths[row] - rope.short_length;
  const std::int64_t table = beyond > 0 && rope.frequencies == nullptr ? rope.positions : 0;
  Pairs<T, kSize> pairs;
#pragma unroll
  for (int j = 0; j < kSize; ++j) {
    if constexpr (kSize == 1) {
      pairs.first[0] = source[i];
      pairs.second[0] = source[i + half];
    } else if (j == 0) {
      load_group<T, true>(source, i, dim, pairs.first);
      load_group<T, true>(source, i + half, dim, pairs.second);
    }
    float cosine_word, sine_word;
    if (beyond > 0 && rope.frequencies != nullptr) {  // as rope_tables makes its tables
      const double angle = static_cast<float>(position) * rope.frequencies[(beyond - 1) * half + i + j];
      cosine_word = static_cast<float>(cos(angle));
      sine_word = static_cast<float>(sin(angle));
    } else {
      cosine_word = rope.cosines[(table + position) * half + i + j];
      sine_word = rope.sines[(table + position) * half + i + j];
    }
    rotate(pairs.first[j], pairs.second[j], cosine_word, sine_word);
  }
  // A key: in place as well.
  copy<T, kSize>(pairs.first, source + i);
  copy<T, kSize>(pairs.second, source + i + half);
  if (target == source) return;
  copy<T, kSize>(pairs.first, target + i);
  copy<T, kSize>(pairs.second, target + i + half);
}

}  // namespace

void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope, const RowIndex& index,
                    const CacheView& cache, cudaStream_t stream) {
  visit_dtype(qkv.dtype, [&]<typename T>() {
    const bool grouped = rope.pairs % kGroup == 0 && cache.head_dim % kGroup == 0;
    const auto kernel = grouped ? rope_kernel<T, kGroup> : rope_kernel<T, 1>;
    const std::int64_t threads =
        index.rows * (query_heads + 2 * cache.kv_heads) * cache.head_dim / (grouped ? kGroup : 1);
    const auto blocks = static_cast<unsigned>((threads + kThreads - 1) / kThreads);
    launch_dependent(kernel, blocks, kThreads, 0, stream, static_cast<T*>(qkv.data), qkv.cols, query_heads,
                     rope, index, cache);
  });
}

}  // namespace shardrift::cuda
