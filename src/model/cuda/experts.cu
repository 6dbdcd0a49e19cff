// A mixture's routing, and the weighted sum of a row's experts. One thread computes a row's routes, one an
// element of the sum, in a fixed order (model/routing.hpp).
#include "model/cuda/kernels.hpp"
#include "model/routing.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRowThreads = 32;  // a row is a thread: few in a block spread rows over multiprocessors

unsigned blocks_for(std::int64_t count, int threads) {
  return static_cast<unsigned>((count + threads - 1) / threads);
}

template <typename T>
__global__ void route_kernel(const T* logits, std::int64_t rows, ExpertsSpec spec, bool given,
                             std::int32_t* ids, Compute<T>* weights) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  route_row(logits + row * spec.count, spec, given, ids + row * spec.active, weights + row * spec.active);
}

template <typename P, typename T>
__global__ void combine_kernel(ExpertOutputs outputs, std::int64_t cols, std::int64_t count, P* out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const std::int64_t row = i / cols;
  out[i] =
      combined_element<P, T>(outputs, static_cast<const Compute<P>*>(outputs.weights), row, i - row * cols);
}

}  // namespace

void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids, void* weights,
           cudaStream_t stream) {
  visit_dtype(logits.dtype, [&]<typename T>() {
    route_kernel<T><<<blocks_for(logits.rows, kRowThreads), kRowThreads, 0, stream>>>(
        static_cast<const T*>(logits.data), logits.rows, spec, given, ids, static_cast<Compute<T>*>(weights));
  });
}

void combine_experts(const ExpertOutputs& outputs, const Matrix& out, cudaStream_t stream) {
  visit_dtype(out.dtype, [&]<typename P>() {
    visit_dtype(outputs.bias.dtype, [&]<typename T>() {
      if constexpr (can_be_partial<P, T>)
        combine_kernel<P, T><<<blocks_for(out.count(), kThreads), kThreads, 0, stream>>>(
            outputs, out.cols, out.count(), static_cast<P*>(out.data));
    });
  });
}

}  // namespace shardrift::cuda
