#include "plain_read.hpp"

#include <cstdint>

namespace shardrift {
namespace {

constexpr int kThreads = 512;
constexpr int kAtOnce = 8;

// Blocks take stretches in turns; a thread has 8 loads of 16 bytes in flight.
__global__ void __launch_bounds__(kThreads)
    read_kernel(const uint4* data, std::size_t count, unsigned* never) {
  constexpr std::size_t kStretch = kThreads * kAtOnce;
  unsigned ones = 0xFFFFFFFF;
  for (std::size_t begin = blockIdx.x * kStretch; begin < count; begin += gridDim.x * kStretch) {
    uint4 words[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const std::size_t at = begin + i * kThreads + threadIdx.x;
      words[i] = at < count ? __ldcs(data + at) : uint4{};
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) ones &= words[i].x & words[i].y & words[i].z & words[i].w;
  }
  if (ones == 0xFFFFFFFF) *never = 1;
}

}  // namespace

void enqueue_plain_read(const void* data, std::size_t bytes, unsigned* never, cudaStream_t stream) {
  int device = 0;
  int multiprocessors = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  read_kernel<<<static_cast<unsigned>(4 * multiprocessors), kThreads, 0, stream>>>(
      static_cast<const uint4*>(data), bytes / sizeof(uint4), never);
}

}  // namespace shardrift
