// Plain weights for the kernels of few rows (few_rows.cuh): tiles of 16 rows as they lie in memory. kAligned:
// each row begins at a multiple of 16 bytes.
#pragma once
#include "model/cuda/products/fragments.cuh"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {

template <int tiles, bool kAligned>
class PlainWeights {
 public:
  static constexpr int kUnits = 4 * tiles;
  static constexpr bool kAlignedX = kAligned;

  __device__ PlainWeights(const ProductView& product, std::int64_t first_column, int warp, int lane)
      : left_(product.k - (warp * kChunk + lane % 4 * kUnit)) {
#pragma unroll
    for (int i = 0; i < 2 * tiles; ++i) {  // rows g and g + 8 of each tile
      const std::int64_t row = first_column + 8 * i + lane / 4;
      there_[i] = row < product.columns;
      rows_[i] = static_cast<const std::uint16_t*>(product.weight) + (there_[i] ? row : 0) * product.k +
                 (product.k - left_);
    }
  }
  __device__ void prepare() const {}
  template <typename Place>
  __device__ void bring(const Place& place) {
#pragma unroll
    for (int i = 0; i < 2 * tiles; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        bring_unit<kAligned>(place(2 * i + half), rows_[i] + half * (kChunk / 2), left_ - half * (kChunk / 2),
                             there_[i]);
      rows_[i] += kStrands * kChunk;
    }
    left_ -= kStrands * kChunk;
  }
  template <typename Place>
  __device__ void load(const Place& place) {
#pragma unroll
    for (int i = 0; i < kUnits; ++i) units_[i] = shared_unit(place(i));
  }
  __device__ void fragments(int half, int tile, uint4& low, uint4& high) const {
    low = units_[4 * tile + half];
    high = units_[4 * tile + 2 + half];
  }

 private:
  const std::uint16_t* rows_[2 * tiles];  // the lane's next element
  bool there_[2 * tiles];
  uint4 units_[kUnits];
  int left_;  // elements of a row from there on
};

}  // namespace shardrift::cuda
