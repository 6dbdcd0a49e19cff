// Attention on tensor cores where rows of a sequence lie together (prefill): a block takes 64 rows of one
// head through the keys that they see, chunk by chunk, the next chunk on its way to shared memory meanwhile.
#include <climits>

#include "model/cuda/async_copy.hpp"
#include "model/cuda/attention_tile.hpp"
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/tensor_attention.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kRows = kTileRows * kWarps;

// Where 16-byte unit u of a row lies, so that the lanes of one access meet no bank twice: queries and keys
// are read two rows by four units at a time, values eight rows at one unit.
__device__ int query_unit(int row, int unit) {
  return unit ^ ((row & 1) << 2);
}
__device__ int value_unit(int row, int unit) {
  return unit ^ (row & 7);
}

// Rows [row, …) of a tile that are of row's sequence: the end of them.
__device__ int end_of_sequence(const RowIndex& index, int row, int tile_end) {
  if (index.one_sequence) return tile_end;
  const std::int32_t slot = index.slots[row];
  int end = row + 1;
  while (end < tile_end && index.slots[end] == slot) ++end;
  return end;
}

// kDim: head_dim, padded with zeros. A block sums kValues columns of the values, from blockIdx.z · kValues
// on.
template <typename T, int kDim, int kValues>
__global__ void __launch_bounds__(kThreads)
    prefill_kernel(const T* qkv, std::int64_t qkv_cols, AttentionShape shape, RowIndex index, CacheView cache,
                   ScoreScale scale, T* out, std::int64_t out_cols) {
  constexpr int kUnits = kDim / 8;
  constexpr int kValueUnits = kValues / 8;
  extern __shared__ uint4 memory[];
  uint4* const queries = memory;                     // [kRows][kUnits]
  uint4* const keys = queries + kRows * kUnits;      // [2][kChunk][kUnits]
  uint4* const values = keys + 2 * kChunk * kUnits;  // [2][kChunk][kValueUnits]
  __shared__ int block_begin, block_end;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int group = lane / 4;
  const int quad = lane % 4;
  const int head = static_cast<int>(blockIdx.y);
  const int value_begin = static_cast<int>(blockIdx.z) * kValues;
  const int dim = static_cast<int>(cache.head_dim);
  // Rows of many keys first.
  const int tile = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kRows;
  const int tile_end = min(tile + kRows, static_cast<int>(index.rows));

  wait_for_previous();
  let_next_start();
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kUnits; i += kThreads) {
    const int row = i / kUnits;
    const int unit = i % kUnits;
    const bool exists = tile + row < tile_end && unit * 8 < dim;
    const T* from = exists ? qkv + (tile + row) * qkv_cols + head * dim + unit * 8 : qkv;
    copy_unit(shared_address(&queries[row * kUnits + query_unit(row, unit)]), from, exists);
  }
  end_copies();

  const int local_row = warp * kTileRows + group;
  for (int first = tile; first < tile_end;) {
    const int end = end_of_sequence(index, first, tile_end);
    // A row that is not of this sequence sees nothing.
    SeenKeys seen;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = tile + local_row + 8 * i;
      seen.begin[i] = INT_MAX;
      seen.end[i] = 0;
      if (row < first || row >= end) continue;
      seen.end[i] = index.positions[row] + 1;
      seen.begin[i] = shape.window > 0 ? max(0, seen.end[i] - static_cast<int>(shape.window)) : 0;
    }
    const int warp_begin = __reduce_min_sync(kWholeWarp, min(seen.begin[0], seen.begin[1]));
    const int warp_end = __reduce_max_sync(kWholeWarp, max(seen.end[0], seen.end[1]));
    if (threadIdx.x == 0) {
      block_begin = INT_MAX;
      block_end = 0;
    }
    __syncthreads();
    if (lane == 0) {
      atomicMin(&block_begin, warp_begin);
      atomicMax(&block_end, warp_end);
    }
    __syncthreads();
    const int last_key = block_end;
    const std::int64_t at =
        (index.slots[first] * cache.kv_heads + shape.local_kv[head]) * cache.max_length * dim;
    const T* const cached_keys = static_cast<const T*>(cache.keys) + at;
    const T* const cached_values = static_cast<const T*>(cache.values) + at;
    const auto load_chunk = [&](int chunk, int buffer) {
      const auto load = [&](uint4* to, const T* from, int units, int column, bool transposed) {
        for (int i = static_cast<int>(threadIdx.x); i < kChunk * units; i += kThreads) {
          const int row = i / units;
          const int unit = i % units;
          const int key = chunk * kChunk + row;
          const bool exists = key < last_key && column + unit * 8 < dim;
          const int place = transposed ? value_unit(row, unit) : query_unit(row, unit);
          copy_unit(shared_address(&to[row * units + place]),
                    exists ? from + static_cast<std::int64_t>(key) * dim + column + unit * 8 : from, exists);
        }
      };
      load(keys + buffer * kChunk * kUnits, cached_keys, kUnits, 0, false);
      load(values + buffer * kChunk * kValueUnits, cached_values, kValueUnits, value_begin, true);
      end_copies();
    };

    SoftmaxState row_state[2];
    SoftmaxState span_state[2];
    float row_values[kValues / 8][4];
    float span_values[kValues / 8][4];
#pragma unroll
    for (int n = 0; n < kValues / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) row_values[n][e] = span_values[n][e] = 0;

    const int first_chunk = block_begin / kChunk;
    const int last_chunk = (last_key - 1) / kChunk;
    load_chunk(first_chunk, 0);
    for (int chunk = first_chunk; chunk <= last_chunk; ++chunk) {
      const int buffer = (chunk - first_chunk) % 2;
      if (chunk < last_chunk) {
        load_chunk(chunk + 1, 1 - buffer);
        wait_for_copies<1>();
      } else {
        wait_for_copies<0>();
      }
      __syncthreads();
      const int first_key = chunk * kChunk;
      if (first_key < warp_end && first_key + kChunk > warp_begin) {
        const uint4* const chunk_keys = keys + buffer * kChunk * kUnits;
        const uint4* const chunk_values = values + buffer * kChunk * kValueUnits;
        ChunkWeights chunk_weights;
        {
          Scores scores = {};
#pragma unroll
          for (int i = 0; i < kDim / 32; ++i) {
            const int unit = 4 * i + quad;
            const uint4 upper = queries[local_row * kUnits + query_unit(local_row, unit)];
            const uint4 lower = queries[(local_row + 8) * kUnits + query_unit(local_row, unit)];
#pragma unroll
            for (int n = 0; n < kChunk / 8; ++n) {
              const int key = 8 * n + group;
              add_scores<T>(scores[n], upper, lower, chunk_keys[key * kUnits + query_unit(key, unit)]);
            }
          }
          const bool whole = first_key >= max(seen.begin[0], seen.begin[1]) &&
                             first_key + kChunk <= min(seen.end[0], seen.end[1]);
          weigh<T>(scores, first_key, seen, scale, whole, chunk_weights);
        }
        const bool sees[2] = {chunk_weights.top[0] != -INFINITY, chunk_weights.top[1] != -INFINITY};
        MergeFactors factors[2] = {{1, 0}, {1, 0}};
#pragma unroll
        for (int i = 0; i < 2; ++i)
          if (sees[i]) factors[i] = merge(span_state[i], chunk_weights.top[i], chunk_weights.sum[i]);
#pragma unroll
        for (int j = 0; j < kValues / 16; ++j) {
          float sums[2][4] = {};
#pragma unroll
          for (int step = 0; step < kChunk / 16; ++step) {
            const int key = 16 * step + (lane / 8 % 2) * 8 + lane % 8;
            std::uint32_t words[4];
            load_transposed(
                words, shared_address(&chunk_values[key * kValueUnits + value_unit(key, 2 * j + lane / 16)]));
            multiply_add<T>(sums[0], chunk_weights.weights[step], words[0], words[1]);
            multiply_add<T>(sums[1], chunk_weights.weights[step], words[2], words[3]);
          }
#pragma unroll
          for (int n = 0; n < 2; ++n)
#pragma unroll
            for (int e = 0; e < 4; ++e)
              if (sees[e / 2])
                span_values[2 * j + n][e] = merged(span_values[2 * j + n][e], sums[n][e], factors[e / 2]);
        }
      }
      if (chunk % kSpanChunks == kSpanChunks - 1 || chunk == last_chunk) {
        const bool sees[2] = {span_state[0].top != -INFINITY, span_state[1].top != -INFINITY};
        MergeFactors factors[2] = {{1, 0}, {1, 0}};
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if (sees[i]) factors[i] = merge(row_state[i], span_state[i].top, span_state[i].sum);
          span_state[i] = {};
        }
#pragma unroll
        for (int n = 0; n < kValues / 8; ++n)
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            if (sees[e / 2]) row_values[n][e] = merged(row_values[n][e], span_values[n][e], factors[e / 2]);
            span_values[n][e] = 0;
          }
      }
      __syncthreads();  // before the chunk after next overwrites this one
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = tile + local_row + 8 * i;
      if (row < first || row >= end) continue;
      const LastFactors last = last_factors<T>(row_state[i], shape.sinks, head);
#pragma unroll
      for (int n = 0; n < kValues / 8; ++n) {
        const int column = value_begin + 8 * n + 2 * quad;
        if (column >= dim) continue;
        *reinterpret_cast<std::uint32_t*>(out + row * out_cols + head * dim + column) =
            rounded_pair<T>(finished(row_values[n][2 * i], last), finished(row_values[n][2 * i + 1], last));
      }
    }
    first = end;
  }
}

template <typename T, int kDim>
void launch(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index, const CacheView& cache,
            const ScoreScale& scale, const Matrix& out, cudaStream_t stream) {
  constexpr int kValues = value_columns(kDim);
  constexpr int kBytes = (kRows * kDim + 2 * kChunk * (kDim + kValues)) * 2;
  const auto kernel = prefill_kernel<T, kDim, kValues>;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  const dim3 grid(static_cast<unsigned>((index.rows + kRows - 1) / kRows),
                  static_cast<unsigned>(shape.query_heads),
                  static_cast<unsigned>((cache.head_dim + kValues - 1) / kValues));
  launch_dependent(kernel, grid, kThreads, kBytes, stream, static_cast<const T*>(qkv.data), qkv.cols, shape,
                   index, cache, scale, static_cast<T*>(out.data), out.cols);
}

}  // namespace

void attention_prefill(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                       const CacheView& cache, const ScoreScale& scale, const Matrix& out,
                       cudaStream_t stream) {
  visit_tensor_attention(out.dtype, cache.head_dim, [&]<typename T, int kDim>() {
    launch<T, kDim>(qkv, shape, index, cache, scale, out, stream);
  });
}

}  // namespace shardrift::cuda
