// The local fold: partials of all shards summed left to right, one pass over memory. Bit-equal to the CPU's
// fold: only adds and conversions, each correctly rounded by IEEE 754 on both.
#include "model/cuda/kernels.hpp"
#include "model/scalar.hpp"

namespace shardrift::cuda {
namespace {

template <typename T, typename A>
__global__ void fold_kernel(const std::byte* partials, std::size_t stride, int shards, std::int64_t count,
                            T* out) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    A total = static_cast<A>(reinterpret_cast<const T*>(partials)[i]);
    for (int s = 1; s < shards; ++s) {
      const T partial = reinterpret_cast<const T*>(partials + s * stride)[i];
      total =
          static_cast<A>(static_cast<Compute<A>>(total) + static_cast<Compute<A>>(static_cast<A>(partial)));
    }
    out[i] = static_cast<T>(total);
  }
}

}  // namespace

void fold(const void* partials, std::size_t stride, int shards, Accumulator accumulator, const Matrix& out,
          cudaStream_t stream) {
  constexpr int kThreads = 256;
  const std::int64_t wanted = (out.count() + kThreads - 1) / kThreads;
  const auto blocks = static_cast<unsigned>(wanted < 65535 ? wanted : 65535);
  const auto* from = static_cast<const std::byte*>(partials);
  visit_dtype(out.dtype, [&]<typename T>() {
    T* to = static_cast<T*>(out.data);
    switch (accumulator) {
      case Accumulator::message:
        fold_kernel<T, T><<<blocks, kThreads, 0, stream>>>(from, stride, shards, out.count(), to);
        break;
      case Accumulator::float32:
        fold_kernel<T, float><<<blocks, kThreads, 0, stream>>>(from, stride, shards, out.count(), to);
        break;
      case Accumulator::float64:
        fold_kernel<T, double><<<blocks, kThreads, 0, stream>>>(from, stride, shards, out.count(), to);
        break;
    }
  });
}

}  // namespace shardrift::cuda
