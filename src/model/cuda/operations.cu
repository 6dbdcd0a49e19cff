// Row- and element-local operations. One thread or one block computes an element in a fixed order, whatever
// the number of rows, shards or multiprocessors.
#include "common/mix64.hpp"
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/element_groups.hpp"
#include "model/cuda/kernels.hpp"
#include "model/formulas.hpp"
#include "model/scalar.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 256;

int blocks_for(std::int64_t count) {
  const std::int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < 65535 ? blocks : 65535);
}

__device__ std::int64_t first_index() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ std::int64_t index_step() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

// Rows are copied as 16-bit words: every dtype's row is a whole number of them.
__global__ void embed_kernel(const std::uint16_t* table, std::int64_t begin, std::int64_t end,
                             const std::int32_t* tokens, std::int64_t words, std::uint16_t* out) {
  const std::int64_t token = tokens[blockIdx.x];
  if (token < begin || token >= end) return;
  for (std::int64_t i = threadIdx.x; i < words; i += blockDim.x)
    out[blockIdx.x * words + i] = table[(token - begin) * words + i];
}

__global__ void pick_rows_kernel(const std::uint16_t* gathered, std::int64_t stride_words,
                                 const std::int32_t* owner, const std::int32_t* tokens, std::int64_t words,
                                 std::uint16_t* out) {
  const std::uint16_t* source = gathered + owner[tokens[blockIdx.x]] * stride_words + blockIdx.x * words;
  for (std::int64_t i = threadIdx.x; i < words; i += blockDim.x) out[blockIdx.x * words + i] = source[i];
}

// A thread has a group of a row's columns.
template <typename T, bool kAligned>
__global__ void activation_kernel(const T* gate_up, Activation activation, double limit, std::int64_t cols,
                                  std::int64_t groups, std::int64_t count, T* out) {
  wait_for_previous();
  let_next_start();
  for (std::int64_t i = first_index(); i < count; i += index_step()) {
    const std::int64_t row = i / groups;
    const std::int64_t at = (i - row * groups) * kGroup;
    alignas(16) T gate[kGroup];
    alignas(16) T up[kGroup];
    load_group<T, kAligned>(gate_up + row * 2 * cols, at, cols, gate);
    load_group<T, kAligned>(gate_up + row * 2 * cols + cols, at, cols, up);
#pragma unroll
    for (int j = 0; j < kGroup; ++j) gate[j] = activated_product(gate[j], up[j], activation, limit);
    store_group<T, kAligned>(out + row * cols, at, cols, gate);
  }
}

template <typename T>
__global__ void scale_kernel(T* m, Compute<T> factor, std::int64_t count) {
  using C = Compute<T>;
  for (std::int64_t i = first_index(); i < count; i += index_step())
    m[i] = static_cast<T>(static_cast<C>(m[i]) * factor);
}

template <typename T>
__global__ void divide_and_cap_kernel(T* m, Compute<T> divisor, Compute<T> cap, std::int64_t count) {
  using C = Compute<T>;
  for (std::int64_t i = first_index(); i < count; i += index_step()) {
    C value = static_cast<C>(m[i]) / divisor;
    if (cap != 0) value = cap * tanh(value / cap);
    m[i] = static_cast<T>(value);
  }
}

template <typename T>
__global__ void add_kernel(T* residual, const T* delta, std::int64_t count) {
  using C = Compute<T>;
  for (std::int64_t i = first_index(); i < count; i += index_step())
    residual[i] = static_cast<T>(static_cast<C>(residual[i]) + static_cast<C>(delta[i]));
}

// One row added to each.
template <typename T>
__global__ void add_row_kernel(T* to, const T* row, std::int64_t cols, std::int64_t count) {
  using C = Compute<T>;
  for (std::int64_t i = first_index(); i < count; i += index_step())
    to[i] = static_cast<T>(static_cast<C>(to[i]) + static_cast<C>(row[i % cols]));
}

template <typename T>
__global__ void fill_kernel(T* out, std::int64_t count) {
  for (std::int64_t i = first_index(); i < count; i += index_step()) out[i] = static_cast<T>(-0.0F);
}

// Column c lies in the last slice that begins at or before it: the slices that begin where the next does are
// empty.
template <typename T>
__global__ void join_kernel(ColumnSlices slices, std::int64_t cols, std::int64_t count, T* out) {
  for (std::int64_t i = first_index(); i < count; i += index_step()) {
    const std::int64_t row = i / cols;
    const std::int64_t c = i - row * cols;
    int shard = 0;
    for (int end = slices.count; end - shard > 1;) {
      const int middle = (shard + end) / 2;
      if (slices.offsets[middle] <= c) {
        shard = middle;
      } else {
        end = middle;
      }
    }
    const std::int64_t begin = slices.offsets[shard];
    const std::int64_t width = slices.width == 0 ? slices.offsets[shard + 1] - begin : slices.width;
    const auto* slice = static_cast<const std::byte*>(slices.data) + shard * slices.stride;
    out[i] = reinterpret_cast<const T*>(slice)[row * width + c - begin];
  }
}

// One block a row.
template <typename Word>
__global__ void checksum_kernel(const Word* m, std::int64_t cols, Range columns, std::int64_t index,
                                std::uint64_t* sums, const std::int32_t* targets) {
  const std::int64_t row = blockIdx.x;
  const std::int64_t target = targets == nullptr ? row : targets[row];
  if (target < 0) return;
  __shared__ std::uint64_t parts[kThreads];
  const Word* words = m + blockIdx.x * cols + columns.begin;
  std::uint64_t sum = 0;
  for (std::int64_t j = threadIdx.x; j < columns.end - columns.begin; j += kThreads)
    sum += mix64(static_cast<std::uint64_t>(index + j), words[j]);
  parts[threadIdx.x] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0) sums[target] += parts[0];
}

template <typename Word>
void launch_checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
                     const std::int32_t* targets, cudaStream_t stream) {
  checksum_kernel<Word><<<static_cast<unsigned>(m.rows), kThreads, 0, stream>>>(
      static_cast<const Word*>(m.data), m.cols, columns, index, sums, targets);
}

}  // namespace

void embed(const Matrix& table, Range rows, const RowIndex& index, const Matrix& out, cudaStream_t stream) {
  const auto words = static_cast<std::int64_t>(out.cols * size_of(out.dtype) / 2);
  embed_kernel<<<static_cast<unsigned>(index.rows), kThreads, 0, stream>>>(
      static_cast<const std::uint16_t*>(table.data), rows.begin, rows.end, index.tokens, words,
      static_cast<std::uint16_t*>(out.data));
}

void pick_rows(const void* gathered, std::size_t stride, const std::int32_t* owner, const RowIndex& index,
               const Matrix& out, cudaStream_t stream) {
  const auto words = static_cast<std::int64_t>(out.cols * size_of(out.dtype) / 2);
  pick_rows_kernel<<<static_cast<unsigned>(index.rows), kThreads, 0, stream>>>(
      static_cast<const std::uint16_t*>(gathered), static_cast<std::int64_t>(stride / 2), owner, index.tokens,
      words, static_cast<std::uint16_t*>(out.data));
}

void activate(const Matrix& gate_up, Activation activation, double limit, const Matrix& out,
              cudaStream_t stream) {
  if (out.count() == 0) return;
  visit_dtype(out.dtype, [&]<typename T>() {
    const auto kernel = out.cols % kGroup == 0 ? activation_kernel<T, true> : activation_kernel<T, false>;
    const std::int64_t groups = (out.cols + kGroup - 1) / kGroup;
    launch_dependent(kernel, blocks_for(out.rows * groups), kThreads, 0, stream,
                     static_cast<const T*>(gate_up.data), activation, limit, out.cols, groups,
                     out.rows * groups, static_cast<T*>(out.data));
  });
}

void scale(const Matrix& m, double factor, cudaStream_t stream) {
  visit_dtype(m.dtype, [&]<typename T>() {
    scale_kernel<T><<<blocks_for(m.count()), kThreads, 0, stream>>>(
        static_cast<T*>(m.data), static_cast<Compute<T>>(factor), m.count());
  });
}

void divide_and_cap(const Matrix& m, double divisor, double softcap, cudaStream_t stream) {
  visit_dtype(m.dtype, [&]<typename T>() {
    divide_and_cap_kernel<T><<<blocks_for(m.count()), kThreads, 0, stream>>>(
        static_cast<T*>(m.data), static_cast<Compute<T>>(divisor), static_cast<Compute<T>>(softcap),
        m.count());
  });
}

void copy_columns(const Matrix& from, Range columns, const Matrix& to, std::int64_t at, cudaStream_t stream) {
  if (columns.empty()) return;
  const std::size_t element = size_of(from.dtype);
  cudaMemcpy2DAsync(
      static_cast<std::byte*>(to.data) + static_cast<std::size_t>(at) * element,
      static_cast<std::size_t>(to.cols) * element,
      static_cast<const std::byte*>(from.data) + static_cast<std::size_t>(columns.begin) * element,
      static_cast<std::size_t>(from.cols) * element, static_cast<std::size_t>(columns.size()) * element,
      static_cast<std::size_t>(from.rows), cudaMemcpyDeviceToDevice, stream);
}

void add(const Matrix& to, const Matrix& delta, cudaStream_t stream) {
  visit_dtype(to.dtype, [&]<typename T>() {
    auto* sum = static_cast<T*>(to.data);
    const auto* addend = static_cast<const T*>(delta.data);
    if (delta.rows == to.rows) {
      add_kernel<T><<<blocks_for(to.count()), kThreads, 0, stream>>>(sum, addend, to.count());
    } else {
      add_row_kernel<T><<<blocks_for(to.count()), kThreads, 0, stream>>>(sum, addend, to.cols, to.count());
    }
  });
}

void fill_negative_zero(const Matrix& out, cudaStream_t stream) {
  visit_dtype(out.dtype, [&]<typename T>() {
    fill_kernel<T><<<blocks_for(out.count()), kThreads, 0, stream>>>(static_cast<T*>(out.data), out.count());
  });
}

void join_columns(const ColumnSlices& slices, const Matrix& out, cudaStream_t stream) {
  visit_dtype(out.dtype, [&]<typename T>() {
    join_kernel<T><<<blocks_for(out.count()), kThreads, 0, stream>>>(slices, out.cols, out.count(),
                                                                     static_cast<T*>(out.data));
  });
}

void checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
              const std::int32_t* targets, cudaStream_t stream) {
  switch (size_of(m.dtype)) {
    case 8:
      return launch_checksum<std::uint64_t>(m, columns, index, sums, targets, stream);
    case 4:
      return launch_checksum<std::uint32_t>(m, columns, index, sums, targets, stream);
    default:
      return launch_checksum<std::uint16_t>(m, columns, index, sums, targets, stream);
  }
}

}  // namespace shardrift::cuda
