// Attention on tensor cores where each row has a sequence of its own (decode): a block takes the query heads
// of one KV head through spans of keys, each warp a chunk of it: keys to registers, values to shared memory,
// both of a span while the one before it is weighed, and those of the first before the kernel waits for its
// queries. A lane multiplies what it fetched itself. Spans meet in the block that is the last of its row and
// heads.
#include <algorithm>

#include "model/cuda/async_copy.hpp"
#include "model/cuda/attention_tile.hpp"
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/rotation.hpp"
#include "model/cuda/tensor_attention.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kWarps = kSpanChunks;
constexpr int kThreads = 32 * kWarps;
constexpr int kMergedSpans = 16;  // whose results are on their way together

__device__ uint4 load(const void* from, bool exists) {
  return exists ? *static_cast<const uint4*>(from) : uint4{0, 0, 0, 0};
}

// Query heads of one KV head: those of rank first to first + kMost, ascending.
template <int kMost>
struct Heads {
  int count;
  int ids[kMost];
};
template <int kMost>
__device__ void find_heads(const AttentionShape& shape, int kv_head, int first, Heads<kMost>& heads) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int before = 0;
  for (int base = 0; base < shape.query_heads; base += 32) {
    const int head = base + lane;
    const bool mine = head < shape.query_heads && shape.local_kv[head] == kv_head;
    const unsigned found = __ballot_sync(kWholeWarp, mine);
    const int rank = before + __popc(found & ((1U << lane) - 1)) - first;
    if (mine && rank >= 0 && rank < kMost) heads.ids[rank] = head;
    before += __popc(found);
  }
  if (lane == 0) heads.count = max(0, min(kMost, before - first));
}

// One row's part of the scratch (weights/attention_scratch.hpp): counters [heads][parts], tops and
// sums [heads][spans][parts], values [heads][spans][kDim].
template <int kDim>
struct RowScratch {
  float* data;
  std::int64_t heads, spans;
  __device__ int* counter(int head, int part) const { return reinterpret_cast<int*>(data) + 2 * head + part; }
  __device__ float2* state(int head, std::int64_t span, int part) const {
    return reinterpret_cast<float2*>(data + 2 * heads) + 2 * (head * spans + span) + part;
  }
  __device__ float* values(int head, std::int64_t span) const {
    return data + 2 * heads + 4 * heads * spans + (head * spans + span) * kDim;
  }
};

// Queries of the heads, or the key, of a row: a lane's part of them, elements 32i + 8(lane % 4) to + 7.
template <int kDim>
using LanePart = uint4[kDim / 32];

// All of head_dim in pairs of elements kDim / 2 apart, which one lane has.
template <typename T, int kDim>
__device__ void rotate_part(LanePart<kDim>& part, const float* cosines, const float* sines) {
#pragma unroll
  for (int i = 0; i < kDim / 64; ++i) {
    alignas(16) T first[8];
    alignas(16) T second[8];
    alignas(16) float cosine[8];
    alignas(16) float sine[8];
    *reinterpret_cast<uint4*>(first) = part[i];
    *reinterpret_cast<uint4*>(second) = part[i + kDim / 64];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      reinterpret_cast<float4*>(cosine)[half] = *reinterpret_cast<const float4*>(cosines + 32 * i + 4 * half);
      reinterpret_cast<float4*>(sine)[half] = *reinterpret_cast<const float4*>(sines + 32 * i + 4 * half);
    }
#pragma unroll
    for (int j = 0; j < 8; ++j) rotate(first[j], second[j], cosine[j], sine[j]);
    part[i] = *reinterpret_cast<uint4*>(first);
    part[i + kDim / 64] = *reinterpret_cast<uint4*>(second);
  }
}

// kDim: head_dim, padded with zeros. A block sums kValues columns of the values: part blockIdx.x % parts.
// kRotates: queries and the row's own key are not rotated yet, and its key and value not in the cache;
// head_dim is kDim. kHalves: of the 16 rows of a product, 8 each; the others are zeros. grid: (splits ·
// parts, KV heads · tiles of 8 · kHalves heads, rows)
template <typename T, int kDim, int kValues, bool kRotates, int kHalves>
__global__ void __launch_bounds__(kThreads)
    decode_kernel(const T* qkv, std::int64_t qkv_cols, AttentionShape shape, RopeView rope, RowIndex index,
                  CacheView cache, ScoreScale scale, int parts, int tiles, std::int64_t scratch_floats,
                  T* out, std::int64_t out_cols) {
  constexpr int kHeads = 8 * kHalves;
  constexpr int kPitch = kValues + 4;  // of a head's sums, so that the rows of a store lie in other banks
  constexpr int kUnits = kValues / 8;  // of 16 bytes of a key's values
  // Tiles of 8 keys whose loads are on their way together: what registers there are for.
  constexpr int kBatch = kDim <= 64 || (kDim == 128 && kHalves == 1) ? 8 : kDim == 128 ? 4 : 2;
  __shared__ Heads<kHeads> heads;
  __shared__ float chunk_tops[kWarps][kHeads];
  __shared__ float chunk_sums[kWarps][kHeads];
  __shared__ uint4 own_keys[kWarps][kRotates ? kDim / 8 : 1];  // alike; each warp its own, so that none waits
  __shared__ uint4 kept_queries[kWarps][kHalves][kDim / 32][32];  // each lane's: registers are for keys
  __shared__ bool is_last;
  extern __shared__ uint4 memory[];  // values: [kWarps][kChunk][kUnits]
  float* const chunk_values =        // [kWarps][kHeads][kPitch]
      reinterpret_cast<float*>(memory + kWarps * kChunk * kUnits);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int group = lane / 4;
  const int quad = lane % 4;
  const int part = static_cast<int>(blockIdx.x) % parts;
  const int split = static_cast<int>(blockIdx.x) / parts;
  const int splits = static_cast<int>(gridDim.x) / parts;
  const int kv_head = static_cast<int>(blockIdx.y) / tiles;
  const int tile = static_cast<int>(blockIdx.y) % tiles;
  const int row = static_cast<int>(blockIdx.z);
  const int value_begin = part * kValues;
  const int dim = kRotates ? kDim : static_cast<int>(cache.head_dim);

  // Asked for at once, because each answer takes long.
  const int position = index.positions[row];
  const std::int64_t slot = index.slots[row];
  const int length = kRotates ? index.lengths[row] : 0;
  if (warp == 0) find_heads(shape, kv_head, tile * kHeads, heads);
  const int end = position + 1;
  const int begin = shape.window > 0 ? max(0, end - static_cast<int>(shape.window)) : 0;
  const int first_span = begin / kSpan;
  const int last_span = position / kSpan;
  if (first_span + split > last_span) return;
  __syncthreads();
  if (heads.count == 0) return;

  const std::int64_t at = (slot * cache.kv_heads + kv_head) * cache.max_length * dim;
  T* const keys = static_cast<T*>(cache.keys) + at;
  T* const values = static_cast<T*>(cache.values) + at;
  const int cached = kRotates ? position : end;  // keys that are in the cache
  // Key 8n + group of a batch, of a chunk that begins at first_key.
  uint4 key_parts[kBatch][kDim / 32];
  const auto load_keys = [&](int first_key, int batch) {
    const int first = first_key + 8 * batch + group;
    const T* const from = keys + static_cast<std::int64_t>(first) * dim + 8 * quad;
    if (first_key + kChunk <= cached && dim == kDim) {
#pragma unroll
      for (int i = 0; i < kDim / 32; ++i)
#pragma unroll
        for (int n = 0; n < kBatch; ++n)
          key_parts[n][i] = *reinterpret_cast<const uint4*>(from + 8 * n * kDim + 32 * i);
    } else {
#pragma unroll
      for (int i = 0; i < kDim / 32; ++i)
#pragma unroll
        for (int n = 0; n < kBatch; ++n)
          key_parts[n][i] =
              load(from + 8 * n * dim + 32 * i, first + 8 * n < cached && 32 * i + 8 * quad < dim);
    }
  };
  // Where a unit of a key's values lies: eight keys' units of one column are read at once, from other banks.
  uint4* const own_memory = memory + warp * kChunk * kUnits;
  const auto place_of = [&](int key, int unit) {
    return shared_address(own_memory + key * kUnits + (unit ^ (key % 8)));
  };
  const auto load_values = [&](int first_key) {
    constexpr int kKeys = 32 / kUnits;  // of which the lanes take a unit each
    const int unit = lane % kUnits;
    const int column = value_begin + 8 * unit;
    const int key = lane / kUnits;
    const T* const from = values + static_cast<std::int64_t>(first_key + key) * dim + column;
    if (first_key + kChunk <= cached && dim == kDim) {
      // As place_of(k + key, unit), in few registers: key < kKeys, and k is a multiple of that.
      const unsigned place = shared_address(own_memory + key * kUnits);
#pragma unroll
      for (int k = 0; k < kChunk; k += kKeys)
        copy_unit(place + static_cast<unsigned>(k * kUnits * kUnitBytes) +
                      static_cast<unsigned>((unit ^ key ^ k % 8) * kUnitBytes),
                  from + k * kDim, true);
    } else {
#pragma unroll 1
      for (int k = 0; k < kChunk; k += kKeys) {
        const int absolute = first_key + k + key;
        if (kRotates && absolute == position) continue;
        const bool exists = absolute < cached && column < dim;
        copy_unit(place_of(k + key, unit), exists ? from + k * dim : values, exists);
      }
    }
    end_copies();
  };
  int first_key = (first_span + split) * kSpan + warp * kChunk;
  const int stride = splits * kSpan;
  // What is in the cache was written by earlier passes.
  if constexpr (kRotates) {
    load_keys(first_key, 0);
    load_values(first_key);
  }
  wait_for_previous();
  let_next_start();
  if constexpr (!kRotates) {
    load_keys(first_key, 0);
    load_values(first_key);
  }

  // Rows of the products are heads; those past the last are zeros.
  const T* const row_queries = qkv + row * qkv_cols + 8 * quad;
  LanePart<kDim> queries[kHalves];
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
    const int rank = group + 8 * half;
    const bool exists = rank < heads.count;
    const T* const from = row_queries + static_cast<std::int64_t>(exists ? heads.ids[rank] : 0) * dim;
#pragma unroll
    for (int i = 0; i < kDim / 32; ++i)
      queries[half][i] = load(from + 32 * i, exists && 32 * i + 8 * quad < dim);
  }
  const T* const own_value = row_queries - 8 * quad + (shape.query_heads + cache.kv_heads + kv_head) * dim;
  // Where load_values left it out.
  const auto store_own_value = [&](int first_key) {
    const int own = position - first_key;
    if (own >= 0 && own < kChunk && lane < kUnits)
      store_unit(place_of(own, lane), load(own_value + value_begin + 8 * lane, true));
  };
  if constexpr (kRotates) {
    LanePart<kDim> own_key;
    const T* const from = row_queries + (shape.query_heads + kv_head) * dim;
#pragma unroll
    for (int i = 0; i < kDim / 32; ++i) own_key[i] = load(from + 32 * i, true);
    const std::int64_t table = length > rope.short_length ? rope.positions : 0;
    const std::int64_t first = (table + position) * (kDim / 2) + 8 * quad;
#pragma unroll
    for (int half = 0; half < kHalves; ++half)
      rotate_part<T, kDim>(queries[half], rope.cosines + first, rope.sines + first);
    rotate_part<T, kDim>(own_key, rope.cosines + first, rope.sines + first);
    if (group == 0)
#pragma unroll
      for (int i = 0; i < kDim / 32; ++i) own_keys[warp][4 * i + quad] = own_key[i];
    store_own_value(first_key);
    __syncwarp();
  }
#pragma unroll
  for (int half = 0; half < kHalves; ++half)
#pragma unroll
    for (int i = 0; i < kDim / 32; ++i) kept_queries[warp][half][i][lane] = queries[half][i];
  const RowScratch<kDim> scratch{static_cast<float*>(shape.scratch) + row * scratch_floats, shape.query_heads,
                                 (cache.max_length + kSpan - 1) / kSpan};
  const SeenKeys seen{{begin, begin}, {end, end}};
  const bool one_span = first_span == last_span;
  // What a lane reads of values: of two tiles of 8 columns, the key and the half that are its (ldmatrix).
  const int lane_key = lane % 16;
  const unsigned lane_values = shared_address(own_memory + lane_key * kUnits);
  const int lane_unit = lane / 16 ^ lane_key % 8;

  for (int span = first_span + split; span <= last_span; span += splits, first_key += stride) {
    const bool more = span + splits <= last_span;
    const bool active = first_key < end && first_key + kChunk > begin;
    const int own = position - first_key;  // the row's own key, where the chunk has it
    const bool has_own = kRotates && own >= 0 && own < kChunk;
    Scores scores = {};
    if (active) {
#pragma unroll
      for (int batch = 0; batch < kChunk / 8; batch += kBatch) {
        if (batch > 0) load_keys(first_key, batch);
        if constexpr (kRotates) {
          if (has_own) {
#pragma unroll
            for (int n = 0; n < kBatch; ++n)
#pragma unroll
              for (int i = 0; i < kDim / 32; ++i)
                if (8 * (batch + n) + group == own) key_parts[n][i] = own_keys[warp][4 * i + quad];
          }
        }
#pragma unroll
        for (int i = 0; i < kDim / 32; ++i) {
          const uint4 upper = shared_unit(shared_address(&kept_queries[warp][0][i][lane]));
          const uint4 lower =
              kHalves == 2 ? shared_unit(shared_address(&kept_queries[warp][kHalves - 1][i][lane])) : uint4{};
#pragma unroll
          for (int n = 0; n < kBatch; ++n) add_scores<T>(scores[batch + n], upper, lower, key_parts[n][i]);
        }
      }
    }
    if (more) load_keys(first_key + stride, 0);
    wait_for_copies<0>();
    __syncwarp();
    if (active) {
      ChunkWeights chunk;
      weigh<T, kHalves>(scores, first_key, seen, scale, first_key >= begin && first_key + kChunk <= end,
                        chunk);
#pragma unroll
      for (int block = 0; block < kValues / 64; ++block) {
        float sums[8][4] = {};
#pragma unroll
        for (int step = 0; step < kChunk / 16; ++step) {
#pragma unroll
          for (int pair = 0; pair < 4; ++pair) {
            std::uint32_t words[4];
            load_transposed(words, lane_values + static_cast<unsigned>(16 * step * kUnits + 8 * block) * 16 +
                                       static_cast<unsigned>(lane_unit ^ 2 * pair) * 16);
            multiply_add<T>(sums[2 * pair], chunk.weights[step], words[0], words[1]);
            multiply_add<T>(sums[2 * pair + 1], chunk.weights[step], words[2], words[3]);
          }
        }
#pragma unroll
        for (int half = 0; half < kHalves; ++half) {
          const int rank = group + 8 * half;
          if (rank >= heads.count) continue;
          float* const to = &chunk_values[(warp * kHeads + rank) * kPitch + 64 * block + 2 * quad];
#pragma unroll
          for (int c = 0; c < 8; ++c)
            *reinterpret_cast<float2*>(to + 8 * c) = {sums[c][2 * half], sums[c][2 * half + 1]};
        }
      }
      if (quad == 0) {
#pragma unroll
        for (int half = 0; half < kHalves; ++half) {
          chunk_tops[warp][group + 8 * half] = chunk.top[half];
          chunk_sums[warp][group + 8 * half] = chunk.sum[half];
        }
      }
      // The warp that has the row's own key among its keys keeps it, once for all query heads.
      if (has_own && tile == 0 && part == 0 && lane < kDim / 8) {
        const std::int64_t place = static_cast<std::int64_t>(position) * kDim + 8 * lane;
        *reinterpret_cast<uint4*>(keys + place) = own_keys[warp][lane];
        *reinterpret_cast<uint4*>(values + place) = load(own_value + 8 * lane, true);
      }
    } else if (lane < kHeads) {
      chunk_tops[warp][lane] = -INFINITY;
    }
    if (more) {
      __syncwarp();
      load_values(first_key + stride);
      if constexpr (kRotates) store_own_value(first_key + stride);
    }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < heads.count * kValues; i += kThreads) {
      const int rank = i / kValues;
      const int column = i % kValues;
      SoftmaxState state;
      float value = 0;
      float chunk_top[kWarps];
      float chunk_sum[kWarps];
      float chunk_value[kWarps];
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        chunk_top[w] = chunk_tops[w][rank];
        chunk_sum[w] = chunk_sums[w][rank];
        chunk_value[w] = chunk_values[(w * kHeads + rank) * kPitch + column];
      }
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        if (chunk_top[w] == -INFINITY) continue;
        const MergeFactors factors = merge(state, chunk_top[w], chunk_sum[w]);
        value = merged(value, chunk_value[w], factors);
      }
      const int head = heads.ids[rank];
      if (one_span) {
        if (value_begin + column >= dim) continue;
        SoftmaxState whole;
        const MergeFactors factors = merge(whole, state.top, state.sum);
        const LastFactors last = last_factors<T>(whole, shape.sinks, head);
        out[row * out_cols + head * dim + value_begin + column] =
            static_cast<T>(finished(merged(0.0F, value, factors), last));
        continue;
      }
      scratch.values(head, span)[value_begin + column] = value;
      if (column == 0) *scratch.state(head, span, part) = {state.top, state.sum};
    }
    if (one_span) return;
    __syncthreads();  // before the next span overwrites the chunks
  }

  const int blocks = min(splits, last_span - first_span + 1);
  if (blocks > 1) {
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence();  // for all of the block: it comes after the barrier, and what is read goes past the L1
                        // cache
      int* const counter = scratch.counter(heads.ids[0], part);
      is_last = atomicAdd(counter, 1) == blocks - 1;
      if (is_last) *counter = 0;  // for the next pass
      __threadfence();
    }
    __syncthreads();
    if (!is_last) return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < heads.count * kValues; i += kThreads) {
    const int head = heads.ids[i / kValues];
    const int column = i % kValues;
    if (value_begin + column >= dim) continue;
    SoftmaxState state;
    float value = 0;
    for (int base = first_span; base <= last_span; base += kMergedSpans) {
      float2 added[kMergedSpans];
      float added_value[kMergedSpans];
#pragma unroll
      for (int i = 0; i < kMergedSpans; ++i) {
        if (base + i > last_span) continue;
        added[i] = __ldcg(scratch.state(head, base + i, part));
        added_value[i] = __ldcg(scratch.values(head, base + i) + value_begin + column);
      }
#pragma unroll
      for (int i = 0; i < kMergedSpans; ++i) {
        if (base + i > last_span) continue;
        const MergeFactors factors = merge(state, added[i].x, added[i].y);
        value = merged(value, added_value[i], factors);
      }
    }
    const LastFactors last = last_factors<T>(state, shape.sinks, head);
    out[row * out_cols + head * dim + value_begin + column] = static_cast<T>(finished(value, last));
  }
}

// Query heads of one KV head, at most: each of the other KV heads has one.
std::int64_t most_queries(const AttentionShape& shape, const CacheView& cache) {
  return shape.queries_a_kv > 0 ? shape.queries_a_kv : shape.query_heads - cache.kv_heads + 1;
}

template <typename Kernel>
std::int64_t blocks_at_once(Kernel kernel, int shared_bytes) {
  int device = 0;
  int multiprocessors = 1;
  int blocks = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, kThreads,
                                                static_cast<std::size_t>(shared_bytes));
  return std::max(1, blocks * multiprocessors);
}

// rope: null where queries are rotated and the keys in the cache.
template <typename T, int kDim, bool kRotates, int kHalves>
void launch(const Matrix& qkv, const AttentionShape& shape, const RopeView* rope, const RowIndex& index,
            const CacheView& cache, const ScoreScale& scale, const Matrix& out, cudaStream_t stream) {
  constexpr int kValues = value_columns(kDim);
  constexpr int kHeads = 8 * kHalves;
  constexpr int kBytes = kWarps * (kChunk * kValues * 2 + kHeads * (kValues + 4) * 4);
  const auto kernel = decode_kernel<T, kDim, kValues, kRotates, kHalves>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  const auto parts = static_cast<int>((cache.head_dim + kValues - 1) / kValues);
  const auto tiles =
      static_cast<int>(std::max<std::int64_t>(1, (most_queries(shape, cache) + kHeads - 1) / kHeads));
  const std::int64_t others = index.rows * cache.kv_heads * tiles * parts;
  const std::int64_t spans = (cache.max_length + kSpan - 1) / kSpan;
  // Nearly as many blocks as fit the device at once, or several times as many. (How spans are spread changes
  // no bits.)
  static thread_local const std::int64_t wave = blocks_at_once(kernel, kBytes);
  std::int64_t splits = wave / others;
  if (4 * splits * others < 3 * wave) splits = (4 * wave + others - 1) / others;
  splits = std::clamp<std::int64_t>(splits, 1, spans);
  const dim3 grid(static_cast<unsigned>(splits * parts), static_cast<unsigned>(cache.kv_heads * tiles),
                  static_cast<unsigned>(index.rows));
  launch_dependent(kernel, grid, kThreads, kBytes, stream, static_cast<const T*>(qkv.data), qkv.cols, shape,
                   rope != nullptr ? *rope : RopeView{}, index, cache, scale, parts, tiles,
                   attention_scratch(shape.query_heads, cache.head_dim, cache.max_length) / 4,
                   static_cast<T*>(out.data), out.cols);
}

}  // namespace

bool rotates_in_decode(const RopeView& rope, std::int64_t head_dim) {
  return 2 * rope.pairs == head_dim && padded_head_dim(head_dim) == head_dim && rope.frequencies == nullptr;
}

void attention_decode(const Matrix& qkv, const AttentionShape& shape, const RopeView* rope,
                      const RowIndex& index, const CacheView& cache, const ScoreScale& scale,
                      const Matrix& out, cudaStream_t stream) {
  visit_tensor_attention(out.dtype, cache.head_dim, [&]<typename T, int kDim>() {
    if (rope == nullptr) {
      launch<T, kDim, false, 2>(qkv, shape, rope, index, cache, scale, out, stream);
    } else if (most_queries(shape, cache) > 8) {
      launch<T, kDim, true, 2>(qkv, shape, rope, index, cache, scale, out, stream);
    } else {
      launch<T, kDim, true, 1>(qkv, shape, rope, index, cache, scale, out, stream);
    }
  });
}

}  // namespace shardrift::cuda
