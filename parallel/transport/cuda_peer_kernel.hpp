// The kernel of our own all-reduces on GPUs (cuda_peer_sum.cpp): one launch a call, every argument the same
// in every call of a message, so that it can be captured in a CUDA graph and replayed.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "common/dtype.hpp"
#include "parallel/reduction/collective.hpp"

namespace shardrift {

constexpr int kMostCudaPeers = 8;

// One allocation a rank: what the kernels count and tell each other, then two buffers.
struct CudaPeers {
  std::byte* memory[kMostCudaPeers] = {};  // of every rank, in this rank's address space
  int rank = 0;
  int ranks = 0;
  std::size_t stride = 0;  // bytes of a buffer, a multiple of 16
};
std::size_t cuda_peer_bytes(std::size_t stride);  // of the allocation, which starts all zero

// data: device memory, aligned to 16 bytes; count at least 1. Enqueued on `stream`; returns the launch's
// error.
cudaError_t launch_peer_sum(const CudaPeers& peers, Collective collective, void* data, std::int64_t count,
                            DType dtype, cudaStream_t stream);

}  // namespace shardrift
