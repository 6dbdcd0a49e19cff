// Coded weights of 16-bit numbers in the order in which the kernel of few rows reads them, and what codes
// stand for: code · scale in float32, rounded to the number's dtype, as weights/quantize.hpp has it.
//
// A tile is 16 weight rows of a chunk. Tiles lie one after the other: those of the first 16 rows by chunk,
// then those of the next. In a tile, lane 4 · g + t has its codes of rows g and g + 8 (fragments.cuh): of
// bytes two units, one a row, lanes side by side in each; of nibbles one unit. Scales: of each 16 rows (for
// each chunk, where a row has several) eight pairs, of rows g and g + 8.
#pragma once
#include <cuda_fp8.h>

#include "model/cuda/products/fragments.cuh"
#include "model/cuda/rounded_pair.hpp"
#include "model/matrix.hpp"
#include "weights/quantize.hpp"

namespace shardrift::cuda {

// 4 integers, stored + 128 (or nibbles + 8, each in a byte), exactly: a float from 2^23 on counts in ones.
template <int shift>
__device__ float integer_of(unsigned word, int byte) {
  return __uint_as_float(__byte_perm(word, 0x4B000000U, 0x7440U + byte)) - (8388608.0F + shift);
}

struct Int8Codes {
  static constexpr int kBits = 8;
  static constexpr bool kGrouped = false;
  template <typename T>
  __device__ static uint4 numbers(uint2 codes, float scale, const float*) {
    const auto pair = [&](unsigned word, int byte) {
      return rounded_pair<T>(__fmul_rn(integer_of<128>(word, byte), scale),
                             __fmul_rn(integer_of<128>(word, byte + 1), scale));
    };
    return {pair(codes.x, 0), pair(codes.x, 2), pair(codes.y, 0), pair(codes.y, 2)};
  }
};

template <bool grouped>
struct Fp8Codes {
  static constexpr int kBits = 8;
  static constexpr bool kGrouped = grouped;
  template <typename T>
  __device__ static uint4 numbers(uint2 codes, float scale, const float*) {
    const auto pair = [&](unsigned two) {
      const __half2 halves = __nv_cvt_fp8x2_to_halfraw2(static_cast<__nv_fp8x2_storage_t>(two), __NV_E4M3);
      return rounded_pair<T>(__fmul_rn(__low2float(halves), scale), __fmul_rn(__high2float(halves), scale));
    };
    return {pair(codes.x), pair(codes.x >> 16), pair(codes.y), pair(codes.y >> 16)};
  }
};

struct Int4Codes {
  static constexpr int kBits = 4;
  static constexpr bool kGrouped = true;
  template <typename T>
  __device__ static uint4 numbers(unsigned codes, float scale, const float*) {
    const unsigned even = codes & 0x0F0F0F0FU;
    const unsigned odd = codes >> 4 & 0x0F0F0F0FU;
    const auto pair = [&](int byte) {
      return rounded_pair<T>(__fmul_rn(integer_of<8>(even, byte), scale),
                             __fmul_rn(integer_of<8>(odd, byte), scale));
    };
    return {pair(0), pair(1), pair(2), pair(3)};
  }
};

struct Nf4Codes {
  static constexpr int kBits = 4;
  static constexpr bool kGrouped = true;
  template <typename T>
  __device__ static uint4 numbers(unsigned codes, float scale, const float* values) {
    // Each byte: where a value lies.
    const unsigned even = codes << 2 & 0x3C3C3C3CU;
    const unsigned odd = codes >> 2 & 0x3C3C3C3CU;
    const auto value = [&](unsigned places, int byte) {
      return *reinterpret_cast<const float*>(reinterpret_cast<const char*>(values) +
                                             __byte_perm(places, 0, 0x4440U + byte));
    };
    const auto pair = [&](int byte) {
      return rounded_pair<T>(__fmul_rn(value(even, byte), scale), __fmul_rn(value(odd, byte), scale));
    };
    return {pair(0), pair(1), pair(2), pair(3)};
  }
};

static __constant__ float kNf4Values[16] = {
    kNormalFloat[0],  kNormalFloat[1],  kNormalFloat[2],  kNormalFloat[3], kNormalFloat[4],  kNormalFloat[5],
    kNormalFloat[6],  kNormalFloat[7],  kNormalFloat[8],  kNormalFloat[9], kNormalFloat[10], kNormalFloat[11],
    kNormalFloat[12], kNormalFloat[13], kNormalFloat[14], kNormalFloat[15]};

// What `numbers` looks values up in, in a block's shared memory; all threads call it.
template <typename Codes>
__device__ const float* shared_values() {
  if constexpr (std::is_same_v<Codes, Nf4Codes>) {
    __shared__ float values[16];
    if (threadIdx.x < 16) values[threadIdx.x] = kNf4Values[threadIdx.x];
    __syncthreads();
    return values;
  } else {
    return nullptr;
  }
}

// visit_codes(format, [&]<typename Codes>() { … });
template <typename F>
void visit_codes(WeightFormat format, F&& f) {
  switch (format) {
    case WeightFormat::int8:
      return f.template operator()<Int8Codes>();
    case WeightFormat::int4:
      return f.template operator()<Int4Codes>();
    case WeightFormat::nf4:
      return f.template operator()<Nf4Codes>();
    case WeightFormat::fp8:
      return f.template operator()<Fp8Codes<false>>();
    case WeightFormat::fp8_block:
      return f.template operator()<Fp8Codes<true>>();
    case WeightFormat::plain:
      return;
  }
}

template <typename Codes>
constexpr int kTileUnits = Codes::kBits == 8 ? 2 : 1;  // of a lane
template <typename Codes>
constexpr std::int64_t kTileBytes = kTileUnits<Codes> * 32 * kUnitBytes;

// Eight codes of a row, which lane 4 · g + t holds of half a chunk.
template <typename Codes>
using EightCodes = std::conditional_t<Codes::kBits == 8, uint2, unsigned>;

// In a tile: bytes before the eight codes of row g + 8 · upper, of half a chunk.
template <typename Codes>
__host__ __device__ constexpr int offset_of_codes(int lane, int upper, int half) {
  return Codes::kBits == 8 ? upper * 32 * kUnitBytes + lane * kUnitBytes + half * 8
                           : lane * kUnitBytes + upper * 8 + half * 4;
}

// The scale's place for a weight row and a chunk of it.
template <typename Codes>
__host__ __device__ constexpr std::int64_t place_of_scale(std::int64_t row, int chunk, int chunks) {
  const std::int64_t first = Codes::kGrouped ? (row / 16 * chunks + chunk) * 16 : row / 16 * 16;
  return first + row % 8 * 2 + row % 16 / 8;
}

}  // namespace shardrift::cuda
