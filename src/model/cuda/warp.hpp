// Sums over the 32 lanes of a warp. For device code only.
#pragma once

namespace shardrift::cuda {

constexpr unsigned kWholeWarp = 0xFFFFFFFFU;

// The same in every lane, in one fixed tree.
template <typename C>
__device__ inline C warp_sum(C value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(kWholeWarp, value, offset);
  return value;
}

}  // namespace shardrift::cuda
