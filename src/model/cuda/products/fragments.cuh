// What the kernels of 16-bit products share: which k an instruction multiplies, so that they have one order.
//
// m16n8k16 gets weights as A (16 rows) and rows of x as B (8). Lane 4 · g + t of a warp holds of weight rows
// g and g + 8, and of row g of x, elements [8 t, 8 t + 8) of each half of a chunk: 16 bytes, one load. The
// first instruction of a half takes the first four of them, the second the others; so its k 2 t, 2 t + 1, 2 t
// + 8, 2 t + 9 are elements 8 t + 0, 1, 2, 3 (or 4 to 7).
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "model/cuda/async_copy.hpp"

namespace shardrift::cuda {

constexpr int kStrands = 8;
constexpr int kChunk = 64;              // elements of K
constexpr int kUnit = 8;                // elements of 16 bytes
constexpr int kUnits = kChunk / kUnit;  // of a row's chunk

__host__ __device__ constexpr int chunks_of(int k) {
  return (k + kChunk - 1) / kChunk;
}

template <typename T>
__device__ void multiply_add(float (&sums)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                             unsigned b0, unsigned b1) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
}

// Half a chunk. low, high: of weight rows g and g + 8.
template <typename T>
__device__ void multiply_add_half(float (&sums)[4], const uint4& low, const uint4& high, const uint4& x) {
  multiply_add<T>(sums, low.x, high.x, low.y, high.y, x.x, x.y);
  multiply_add<T>(sums, low.z, high.z, low.w, high.w, x.z, x.w);
}

// Of sums[i], i from 0 to 3, lane 4 · g + t has weight row g + 8 · (i / 2) and row 2 t + i % 2 of x.
__device__ constexpr int weight_row_of(int lane, int i) {
  return lane / 4 + 8 * (i / 2);
}
__device__ constexpr int x_row_of(int lane, int i) {
  return lane % 4 * 2 + i % 2;
}

// Eight elements of a row, of which `left` are left from there on: zeros beyond. Wherever the row begins.
__device__ inline uint4 gathered_unit(const std::uint16_t* from, int left, bool there) {
  unsigned words[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const unsigned low = there && 2 * i < left ? from[2 * i] : 0;
    const unsigned high = there && 2 * i + 1 < left ? from[2 * i + 1] : 0;
    words[i] = low | high << 16;
  }
  return {words[0], words[1], words[2], words[3]};
}

// The same on their way to shared memory, as fast as the row's place allows.
template <bool kAligned>
__device__ void bring_unit(unsigned to, const std::uint16_t* from, int left, bool there) {
  if constexpr (kAligned) {
    copy_unit(to, from, there && left > 0);
  } else {
    store_unit(to, gathered_unit(from, left, there));
  }
}

template <typename T>
__device__ void store_sum(void* out, std::int64_t index, float sum, bool wide) {
  if (wide) {
    static_cast<float*>(out)[index] = sum;
  } else {
    static_cast<T*>(out)[index] = static_cast<T>(sum);
  }
}

}  // namespace shardrift::cuda
