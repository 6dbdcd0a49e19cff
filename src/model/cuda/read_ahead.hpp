// Weights on their way to the L2 cache while a small operation runs: such an operation leaves memory idle for
// some microseconds, and the product after it reads more bytes than anything else. Only when bytes are read
// changes.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace shardrift::cuda {

// Of every kPiece bytes of a weight those from `begin` to `end`: a product's blocks read all over the weight
// at once, so each of them finds a part of what it needs.
struct ReadAhead {
  static constexpr std::int64_t kPiece = 8192;
  static constexpr unsigned kBlocks = 64;  // that a launch has for it, after those of its work
  const std::byte* data = nullptr;         // null: nothing
  std::int64_t pieces = 0;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;  // multiples of 16
  unsigned blocks() const { return data == nullptr ? 0 : kBlocks; }
};

#ifdef __CUDACC__
// Called by every thread of block `block` of `blocks`.
__device__ inline void read_ahead(const ReadAhead& ahead, unsigned block,
                                  unsigned blocks = ReadAhead::kBlocks) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const std::int64_t step = static_cast<std::int64_t>(blocks) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(block) * blockDim.x + threadIdx.x; i < ahead.pieces;
       i += step)
    asm volatile(
        "cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(ahead.data + i * ReadAhead::kPiece + ahead.begin),
        "r"(ahead.end - ahead.begin)
        : "memory");
#else
  (void)ahead;
  (void)block;
  (void)blocks;
#endif
}
#endif

}  // namespace shardrift::cuda
