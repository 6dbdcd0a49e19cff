// Products of float32 and float64, bit-equal to the CPU's (model/cpu/products/product_kernels.hpp). Four
// lanes have the strands of an output, 16 bytes of them each; a warp has 8 or 32 weight rows.
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {
namespace {

// Of a lane: weight rows by rows of x. Of a block: warps along either.
template <int weight_rows, int x_rows, int weight_warps, int x_warps>
struct WideShape {
  static constexpr int kWeightRows = weight_rows;
  static constexpr int kXRows = x_rows;
  static constexpr int kWeightWarps = weight_warps;
  static constexpr int kThreads = 32 * weight_warps * x_warps;
  static constexpr int kBlockWeightRows = 8 * weight_rows * weight_warps;
  static constexpr int kBlockXRows = x_rows * x_warps;
};

template <typename Real>
constexpr int kOfLane = 16 / static_cast<int>(sizeof(Real));  // elements of 16 bytes: strands of a lane

template <typename Real>
struct alignas(16) Unit {
  Real values[kOfLane<Real>];
};

// Elements from k on, zeros beyond `count`.
template <typename Real, bool kAligned>
__device__ Unit<Real> unit_at(const Real* row, int k, int count) {
  Unit<Real> unit{};
  if constexpr (kAligned) {
    if (k < count) unit = *reinterpret_cast<const Unit<Real>*>(row + k);
  } else {
#pragma unroll
    for (int e = 0; e < kOfLane<Real>; ++e)
      if (k + e < count) unit.values[e] = row[k + e];
  }
  return unit;
}

template <typename Real>
__device__ Real sum_of_strands(Real (&strands)[kOfLane<Real>]) {
#pragma unroll
  for (int lanes = 2; lanes > 0; lanes /= 2)
#pragma unroll
    for (Real& strand : strands) strand += __shfl_xor_sync(0xFFFFFFFF, strand, lanes);
#pragma unroll
  for (int width = kOfLane<Real> / 2; width > 0; width /= 2)
#pragma unroll
    for (int e = 0; e < width; ++e) strands[e] += strands[e + width];
  return strands[0];
}

template <typename Real, typename Shape, bool kAligned>
__global__ void __launch_bounds__(Shape::kThreads) wide_numbers_kernel(ProductView product) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int quad = static_cast<int>(threadIdx.x) % 32 / 4;
  const int lane = static_cast<int>(threadIdx.x) % 4;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * Shape::kBlockWeightRows +
                              warp % Shape::kWeightWarps * (8 * Shape::kWeightRows) +
                              quad;  // and every eighth after it
  const std::int64_t row =
      static_cast<std::int64_t>(blockIdx.y) * Shape::kBlockXRows + warp / Shape::kWeightWarps * Shape::kXRows;
  // Rows that are not there are computed as the last and not stored.
  const auto row_at = [&](const void* matrix, std::int64_t r, std::int64_t rows) {
    return static_cast<const Real*>(matrix) + (r < rows ? r : rows - 1) * product.k;
  };
  const Real* weight[Shape::kWeightRows];
  const Real* x[Shape::kXRows];
#pragma unroll
  for (int i = 0; i < Shape::kWeightRows; ++i)
    weight[i] = row_at(product.weight, column + 8 * i, product.columns);
#pragma unroll
  for (int j = 0; j < Shape::kXRows; ++j) x[j] = row_at(product.x, row + j, product.rows);

  let_next_start();
  wait_for_previous();
  Real strands[Shape::kWeightRows][Shape::kXRows][kOfLane<Real>] = {};
  constexpr int kStep = 4 * kOfLane<Real>;
  constexpr int kAhead = Shape::kWeightRows * Shape::kXRows == 1 ? 8 : 1;  // steps fetched together
  for (int begin = 0; begin < product.k; begin += kAhead * kStep) {
    Unit<Real> x_units[kAhead][Shape::kXRows];
    Unit<Real> units[kAhead][Shape::kWeightRows];
#pragma unroll
    for (int s = 0; s < kAhead; ++s) {
      const int k = begin + s * kStep + lane * kOfLane<Real>;
#pragma unroll
      for (int i = 0; i < Shape::kWeightRows; ++i)
        units[s][i] = unit_at<Real, kAligned>(weight[i], k, product.k);
#pragma unroll
      for (int j = 0; j < Shape::kXRows; ++j) x_units[s][j] = unit_at<Real, kAligned>(x[j], k, product.k);
    }
#pragma unroll
    for (int s = 0; s < kAhead; ++s) {
      if (begin + s * kStep >= product.k) break;
#pragma unroll
      for (int i = 0; i < Shape::kWeightRows; ++i)
#pragma unroll
        for (int j = 0; j < Shape::kXRows; ++j)
#pragma unroll
          for (int e = 0; e < kOfLane<Real>; ++e)
            strands[i][j][e] = fma(x_units[s][j].values[e], units[s][i].values[e], strands[i][j][e]);
    }
  }
#pragma unroll
  for (int i = 0; i < Shape::kWeightRows; ++i)
#pragma unroll
    for (int j = 0; j < Shape::kXRows; ++j) {
      const Real sum = sum_of_strands<Real>(strands[i][j]);
      if (lane == 0 && column + 8 * i < product.columns && row + j < product.rows)
        static_cast<Real*>(product.out)[(row + j) * product.columns + column + 8 * i] = sum;
    }
}

template <typename Real, typename Shape>
void launch(const ProductView& product, cudaStream_t stream) {
  const auto blocks = [](std::int64_t count, int size) {
    return static_cast<unsigned>((count + size - 1) / size);
  };
  const dim3 grid(blocks(product.columns, Shape::kBlockWeightRows), blocks(product.rows, Shape::kBlockXRows));
  launch_dependent(
      product.aligned ? wide_numbers_kernel<Real, Shape, true> : wide_numbers_kernel<Real, Shape, false>,
      grid, Shape::kThreads, 0, stream, product);
}

template <typename Real>
void launch_shape(const ProductView& product, cudaStream_t stream) {
  if (product.rows == 1) {
    launch<Real, WideShape<1, 1, 2, 1>>(product, stream);
  } else if (product.rows <= 16) {
    launch<Real, WideShape<1, 4, 2, 1>>(product, stream);
  } else {
    launch<Real, WideShape<4, 4, 1, 8>>(product, stream);
  }
}

}  // namespace

void multiply_wide_numbers(DType dtype, const ProductView& product, cudaStream_t stream) {
  if (dtype == DType::float64) {
    launch_shape<double>(product, stream);
  } else {
    launch_shape<float>(product, stream);
  }
}

}  // namespace shardrift::cuda
