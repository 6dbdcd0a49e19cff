// Two float32 numbers rounded to 16 bits each, in one instruction. For device code only.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace shardrift::cuda {

// low in the lower 16 bits.
template <typename T>
__device__ inline std::uint32_t rounded_pair(float low, float high) {
  std::uint32_t bits = 0;
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    memcpy(&bits, &pair, sizeof(bits));
  } else {
    const __half2 pair = __floats2half2_rn(low, high);
    memcpy(&bits, &pair, sizeof(bits));
  }
  return bits;
}

}  // namespace shardrift::cuda
