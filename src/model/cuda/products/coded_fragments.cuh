// Coded weights for the kernels of few rows (few_rows.cuh): codes become numbers in registers, which go the
// way of plain ones.
#pragma once
#include "model/cuda/products/coded.cuh"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {

template <typename T, typename Codes, int tiles>
class CodedWeights {
 public:
  static constexpr int kTileWords = kTileUnits<Codes> + (Codes::kGrouped ? 1 : 0);  // the last: two scales
  static constexpr int kUnits = tiles * kTileWords;
  static constexpr bool kAlignedX = true;

  __device__ CodedWeights(const ProductView& product, std::int64_t first_column, int warp, int lane) {
    const int chunks = chunks_of(product.k);
    const std::int64_t all = (product.columns + 15) / 16;
#pragma unroll
    for (int m = 0; m < tiles; ++m) {
      const std::int64_t tile = first_column / 16 + m;
      there_[m] = tile < all;
      const std::int64_t at = there_[m] ? tile : 0;
      codes_[m] = static_cast<const std::byte*>(product.weight) + (at * chunks + warp) * kTileBytes<Codes> +
                  lane * kUnitBytes;
      scales_[m] = product.scales + place_of_scale<Codes>(at * 16 + lane / 4, warp, chunks);
      if constexpr (!Codes::kGrouped) row_scales_[m] = *reinterpret_cast<const float2*>(scales_[m]);
    }
  }
  __device__ void prepare() {
    values_ = shared_values<Codes>();
  }
  template <typename Place>
  __device__ void bring(const Place& place) {
#pragma unroll
    for (int m = 0; m < tiles; ++m) {
#pragma unroll
      for (int unit = 0; unit < kTileUnits<Codes>; ++unit)
        copy_unit(place(m * kTileWords + unit), codes_[m] + unit * 32 * kUnitBytes, there_[m]);
      codes_[m] += kStrands * kTileBytes<Codes>;
      if constexpr (Codes::kGrouped) {
        copy_pair(place(m * kTileWords + kTileWords - 1), scales_[m]);
        scales_[m] += kStrands * 16;
      }
    }
  }
  template <typename Place>
  __device__ void load(const Place& place) {
#pragma unroll
    for (int m = 0; m < tiles; ++m) {
#pragma unroll
      for (int unit = 0; unit < kTileUnits<Codes>; ++unit)
        units_[m][unit] = shared_unit(place(m * kTileWords + unit));
      if constexpr (Codes::kGrouped) row_scales_[m] = shared_pair(place(m * kTileWords + kTileWords - 1));
    }
  }
  __device__ void fragments(int half, int tile, uint4& low, uint4& high) const {
    const float2 scales = row_scales_[tile];
    if constexpr (Codes::kBits == 8) {
      low = Codes::template numbers<T>(half_of(units_[tile][0], half), scales.x, nullptr);
      high = Codes::template numbers<T>(half_of(units_[tile][1], half), scales.y, nullptr);
    } else {
      const uint4& unit = units_[tile][0];
      low = Codes::template numbers<T>(half == 0 ? unit.x : unit.y, scales.x, values_);
      high = Codes::template numbers<T>(half == 0 ? unit.z : unit.w, scales.y, values_);
    }
  }

 private:
  __device__ static uint2 half_of(const uint4& unit, int half) {
    return half == 0 ? uint2{unit.x, unit.y} : uint2{unit.z, unit.w};
  }
  __device__ static void copy_pair(unsigned to, const float* from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(to), "l"(from) : "memory");
  }
  __device__ static float2 shared_pair(unsigned address) {
    float2 pair;
    asm volatile("ld.shared.v2.f32 {%0,%1}, [%2];" : "=f"(pair.x), "=f"(pair.y) : "r"(address) : "memory");
    return pair;
  }

  const std::byte* codes_[tiles];
  const float* scales_[tiles];
  bool there_[tiles];
  uint4 units_[tiles][kTileUnits<Codes>];
  float2 row_scales_[tiles];
  const float* values_ = nullptr;
};

}  // namespace shardrift::cuda
