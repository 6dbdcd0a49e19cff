// RMS norms of rows and of heads, alone and with the residual add before them.
//
// n elements normed together are cut into groups of 8; thread t of a block takes groups t, t + threads, … in
// ascending order, the threads' sums of squares meet in a fixed tree. The number of threads depends on n
// alone, so the bits of a norm depend on its own elements only.
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/element_groups.hpp"
#include "model/cuda/kernels.hpp"
#include "model/cuda/warp.hpp"
#include "model/formulas.hpp"
#include "model/scalar.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kMostThreads = 512;

int threads_for(std::int64_t n) {
  const std::int64_t warps = (n + 32 * kGroup - 1) / (32 * kGroup);
  return static_cast<int>(warps * 32 < kMostThreads ? warps * 32 : kMostThreads);
}

// The same in every thread.
template <typename C>
__device__ C block_sum(C value) {
  __shared__ C sums[kMostThreads / 32];
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  return warp_sum(lane < blockDim.x / 32 ? sums[lane] : C(0));
}

// A block a row, or a head's part of one: n elements, the first of block (r, h) at r · cols + (first + h) ·
// n. kAdds: x += delta first, rounded.
template <typename T, bool kAdds, bool kAligned>
__global__ void __launch_bounds__(kMostThreads)
    norm_kernel(T* x, const T* delta, const T* weight, Compute<T> eps, NormKind kind, std::int64_t cols,
                std::int64_t n, std::int64_t first, T* out) {
  using C = Compute<T>;
  const std::int64_t at = blockIdx.x * cols + (first + blockIdx.y) * n;
  const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * kGroup;
  const std::int64_t begin = static_cast<std::int64_t>(threadIdx.x) * kGroup;
  alignas(16) T weights[kGroup];
  if (begin < n) load_group<T, kAligned>(weight, begin, n, weights);
  wait_for_previous();
  let_next_start();
  alignas(16) T kept[kGroup];  // of the first step, which is the only one of most rows
  C squares = 0;
  for (std::int64_t i = begin; i < n; i += step) {
    alignas(16) T group[kGroup];
    load_group<T, kAligned>(x + at, i, n, group);
    if constexpr (kAdds) {
      alignas(16) T addend[kGroup];
      load_group<T, kAligned>(delta + at, i, n, addend);
#pragma unroll
      for (int j = 0; j < kGroup; ++j)
        group[j] = static_cast<T>(static_cast<C>(group[j]) + static_cast<C>(addend[j]));
      store_group<T, kAligned>(x + at, i, n, group);
    }
#pragma unroll
    for (int j = 0; j < kGroup; ++j) {
      const C value = static_cast<C>(group[j]);
      squares = fma(value, value, squares);
      if (i == begin) kept[j] = group[j];
    }
  }
  const C scale = C(1) / sqrt(block_sum(squares) / static_cast<C>(n) + eps);
  for (std::int64_t i = begin; i < n; i += step) {
    alignas(16) T group[kGroup];
    if (i != begin) {
      load_group<T, kAligned>(x + at, i, n, kept);
      load_group<T, kAligned>(weight, i, n, weights);
    }
#pragma unroll
    for (int j = 0; j < kGroup; ++j)
      group[j] = normed_value<T>(static_cast<C>(kept[j]) * scale, weights[j], kind);
    store_group<T, kAligned>(out + at, i, n, group);
  }
}

// delta: null, or added first.
void launch(const Matrix& x, const void* delta, const NormView& norm, Range heads, const Matrix& out,
            cudaStream_t stream) {
  visit_dtype(x.dtype, [&]<typename T>() {
    const std::int64_t n = norm.weight->cols;
    const bool aligned = n % kGroup == 0 && x.cols % kGroup == 0;
    const auto kernel = delta != nullptr
                            ? (aligned ? norm_kernel<T, true, true> : norm_kernel<T, true, false>)
                            : (aligned ? norm_kernel<T, false, true> : norm_kernel<T, false, false>);
    const dim3 grid(static_cast<unsigned>(x.rows), static_cast<unsigned>(heads.size()));
    launch_dependent(kernel, grid, threads_for(n), 0, stream, static_cast<T*>(x.data),
                     static_cast<const T*>(delta), static_cast<const T*>(norm.weight->data),
                     static_cast<Compute<T>>(norm.eps), norm.kind, x.cols, n, heads.begin,
                     static_cast<T*>(out.data));
  });
}

}  // namespace

void rms_norm(const Matrix& x, const NormView& norm, const Matrix& out, cudaStream_t stream) {
  launch(x, nullptr, norm, {0, 1}, out, stream);
}

void add_and_norm(const Matrix& to, const Matrix& delta, const NormView& norm, const Matrix& out,
                  cudaStream_t stream) {
  launch(to, delta.data, norm, {0, 1}, out, stream);
}

void head_norm(const Matrix& m, Range heads, const NormView& norm, cudaStream_t stream) {
  if (!heads.empty()) launch(m, nullptr, norm, heads, m, stream);
}

}  // namespace shardrift::cuda
