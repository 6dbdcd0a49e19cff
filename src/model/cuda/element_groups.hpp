// Eight neighbouring elements at once: whole 16 bytes where rows are aligned, else one by one. For device
// code only.
#pragma once
#include <cuda_runtime_api.h>
#include <cstdint>

namespace shardrift::cuda {

constexpr int kGroup = 8;

// Elements [at, at + kGroup) of n; those past the end are 0.
template <typename T, bool kAligned>
__device__ inline void load_group(const T* from, std::int64_t at, std::int64_t n, T (&group)[kGroup]) {
  if constexpr (kAligned) {
#pragma unroll
    for (int i = 0; i < kGroup * static_cast<int>(sizeof(T)) / 16; ++i)
      reinterpret_cast<uint4*>(group)[i] = reinterpret_cast<const uint4*>(from + at)[i];
  } else {
#pragma unroll
    for (int i = 0; i < kGroup; ++i) group[i] = at + i < n ? from[at + i] : static_cast<T>(0.0F);
  }
}

template <typename T, bool kAligned>
__device__ inline void store_group(T* to, std::int64_t at, std::int64_t n, const T (&group)[kGroup]) {
  if constexpr (kAligned) {
#pragma unroll
    for (int i = 0; i < kGroup * static_cast<int>(sizeof(T)) / 16; ++i)
      reinterpret_cast<uint4*>(to + at)[i] = reinterpret_cast<const uint4*>(group)[i];
  } else {
#pragma unroll
    for (int i = 0; i < kGroup; ++i)
      if (at + i < n) to[at + i] = group[i];
  }
}

}  // namespace shardrift::cuda
