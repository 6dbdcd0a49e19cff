// The token that a row of logits chooses, on the device, so that the next pass can begin before the host has
// seen this one's logits.
#include <climits>

#include "model/cuda/kernels.hpp"
#include "model/scalar.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 1024;

// The better of two: the larger number, the lower index where they are equal (0 and -0 are).
template <typename C>
__device__ void take_better(C value, int index, C& best, int& at) {
  if (value > best || (value == best && index < at)) {
    best = value;
    at = index;
  }
}

// One block a row. Which element is best does not depend on the order of comparisons.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    choose_kernel(const T* logits, std::int64_t cols, std::int32_t* chosen) {
  using C = Compute<T>;
  __shared__ C values[kThreads / 32];
  __shared__ int places[kThreads / 32];
  const T* row = logits + blockIdx.x * cols;
  C best = -static_cast<C>(INFINITY);
  int at = INT_MAX;
  int odd = 0;
  for (std::int64_t i = threadIdx.x; i < cols; i += kThreads) {
    const C value = static_cast<C>(row[i]);
    odd |= isfinite(value) ? 0 : 1;
    take_better(value, static_cast<int>(i), best, at);
  }
  odd = __syncthreads_or(odd);
  for (int offset = 16; offset > 0; offset /= 2) {
    const C value = __shfl_xor_sync(0xFFFFFFFFU, best, offset);
    const int place = __shfl_xor_sync(0xFFFFFFFFU, at, offset);
    take_better(value, place, best, at);
  }
  if (threadIdx.x % 32 == 0) {
    values[threadIdx.x / 32] = best;
    places[threadIdx.x / 32] = at;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kThreads / 32; ++warp) take_better(values[warp], places[warp], best, at);
  chosen[blockIdx.x] = odd != 0 ? kNotFinite : at;
}

__global__ void take_chosen_kernel(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < rows && tokens[i] < 0) tokens[i] = max(chosen[-1 - tokens[i]], 0);
}

}  // namespace

void choose(const Matrix& logits, std::int32_t* chosen, cudaStream_t stream) {
  visit_dtype(logits.dtype, [&]<typename T>() {
    choose_kernel<T><<<static_cast<unsigned>(logits.rows), kThreads, 0, stream>>>(
        static_cast<const T*>(logits.data), logits.cols, chosen);
  });
}

void take_chosen(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens, cudaStream_t stream) {
  constexpr int kBlock = 256;
  take_chosen_kernel<<<static_cast<unsigned>((rows + kBlock - 1) / kBlock), kBlock, 0, stream>>>(chosen, rows,
                                                                                                 tokens);
}

}  // namespace shardrift::cuda
