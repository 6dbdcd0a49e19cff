// Products of many rows: a block computes a tile of outputs, strand after strand.
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/products/fragments.cuh"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWeightWarps = 2;  // of 8: by 4 along the rows of x
constexpr int kXWarps = 4;

template <int weight_rows, int x_rows, int stages_>
struct TileShape {
  static constexpr int kWeightRows = weight_rows;
  static constexpr int kXRows = x_rows;
  static constexpr int kStages = stages_;
  static constexpr int kWeightTiles = weight_rows / kWeightWarps / 16;  // of a warp
  static constexpr int kXTiles = x_rows / kXWarps / 8;
  static constexpr unsigned kRowBytes = kChunk * 2;
  static constexpr unsigned kStageBytes = (weight_rows + x_rows) * kRowBytes;
  static constexpr int kPadded = weight_rows + 4;  // sums of one row of x: banks of a warp's stores differ
  static constexpr unsigned kSharedBytes = kStages * kStageBytes;
  static_assert(kPadded * x_rows * sizeof(float) <= kSharedBytes);
};

// A row's units in shared memory, so that eight lanes, four of each of two rows, meet no bank twice.
__device__ unsigned unit_offset(int row, int unit) {
  return static_cast<unsigned>((row * kUnits + (unit ^ (row % 2 * 4))) * kUnitBytes);
}

// Chunks in the order in which strands add them.
struct ChunkOrder {
  int chunks;
  int chunk = 0;
  __device__ bool is_done() const { return chunk >= chunks; }
  __device__ void advance() {
    const int strand = chunk % kStrands;
    chunk += kStrands;
    if (chunk >= chunks) chunk = strand + 1 < kStrands ? strand + 1 : chunks;
  }
};

template <typename T, typename Shape, bool kAligned>
__global__ void __launch_bounds__(kThreads, 1) many_rows_kernel(ProductView product) {
  extern __shared__ uint4 shared[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.x) * Shape::kXRows;
  const std::int64_t first_column = static_cast<std::int64_t>(blockIdx.y) * Shape::kWeightRows;
  const unsigned stages = shared_address(shared);
  constexpr unsigned kXOffset = Shape::kWeightRows * Shape::kRowBytes;

  // Eight threads bring a row's chunk.
  const int unit = static_cast<int>(threadIdx.x) % kUnits;
  const int own_row = static_cast<int>(threadIdx.x) / kUnits;
  constexpr int kRowsAtOnce = kThreads / kUnits;
  const auto bring = [&](const void* matrix, std::int64_t first, std::int64_t rows, unsigned to, int count,
                         int chunk) {
    for (int r = own_row; r < count; r += kRowsAtOnce) {
      const bool there = first + r < rows;
      const auto* row = static_cast<const std::uint16_t*>(matrix) + (there ? first + r : 0) * product.k;
      const int k = chunk * kChunk + unit * kUnit;
      bring_unit<kAligned>(to + unit_offset(r, unit), row + k, product.k - k, there);
    }
  };
  const auto bring_weight = [&](int slot, int chunk) {
    bring(product.weight, first_column, product.columns, stages + slot * Shape::kStageBytes,
          Shape::kWeightRows, chunk);
  };
  const auto bring_x = [&](int slot, int chunk) {
    bring(product.x, first_row, product.rows, stages + slot * Shape::kStageBytes + kXOffset, Shape::kXRows,
          chunk);
  };

  let_next_start();
  if (!product.early) wait_for_previous();
  constexpr int kAhead = Shape::kStages - 1;
  const int chunks = chunks_of(product.k);
  ChunkOrder ahead{chunks};
  for (int slot = 0; slot < kAhead; ++slot, ahead.advance())
    if (!ahead.is_done()) bring_weight(slot, ahead.chunk);
  end_copies();
  wait_for_previous();
  ahead = {chunks};
  for (int slot = 0; slot < kAhead; ++slot, ahead.advance()) {
    if (!ahead.is_done()) bring_x(slot, ahead.chunk);
    end_copies();
  }

  const int weight_row = warp / kXWarps * (Shape::kWeightRows / kWeightWarps);
  const int x_row = warp % kXWarps * (Shape::kXRows / kXWarps);
  float totals[Shape::kWeightTiles][Shape::kXTiles][4];
  int slot = 0;
  for (int strand = 0; strand < kStrands; ++strand) {
    float sums[Shape::kWeightTiles][Shape::kXTiles][4] = {};
    for (int chunk = strand; chunk < chunks; chunk += kStrands) {
      wait_for_copies<kAhead - 1>();
      __syncthreads();  // everybody's copies are there, and the slot before is read
      if (!ahead.is_done()) {
        const int free_slot = slot == 0 ? kAhead : slot - 1;
        bring_weight(free_slot, ahead.chunk);
        bring_x(free_slot, ahead.chunk);
        ahead.advance();
      }
      end_copies();
      const unsigned weights = stages + slot * Shape::kStageBytes;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int own_unit = half * (kUnits / 2) + lane % 4;
        uint4 rows[Shape::kXTiles];
#pragma unroll
        for (int n = 0; n < Shape::kXTiles; ++n)
          rows[n] = shared_unit(weights + kXOffset + unit_offset(x_row + 8 * n + lane / 4, own_unit));
#pragma unroll
        for (int m = 0; m < Shape::kWeightTiles; ++m) {
          const uint4 low = shared_unit(weights + unit_offset(weight_row + 16 * m + lane / 4, own_unit));
          const uint4 high = shared_unit(weights + unit_offset(weight_row + 16 * m + 8 + lane / 4, own_unit));
#pragma unroll
          for (int n = 0; n < Shape::kXTiles; ++n) multiply_add_half<T>(sums[m][n], low, high, rows[n]);
        }
      }
      slot = slot == kAhead ? 0 : slot + 1;
    }
#pragma unroll
    for (int m = 0; m < Shape::kWeightTiles; ++m)
#pragma unroll
      for (int n = 0; n < Shape::kXTiles; ++n)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          totals[m][n][i] = strand == 0 ? sums[m][n][i] : totals[m][n][i] + sums[m][n][i];
  }

  wait_for_copies<0>();
  __syncthreads();  // from here on shared memory is for sums: [row of x][weight row]
  auto* tile = reinterpret_cast<float*>(shared);
#pragma unroll
  for (int m = 0; m < Shape::kWeightTiles; ++m)
#pragma unroll
    for (int n = 0; n < Shape::kXTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        tile[(x_row + 8 * n + x_row_of(lane, i)) * Shape::kPadded + weight_row + 16 * m +
             weight_row_of(lane, i)] = totals[m][n][i];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < Shape::kWeightRows * Shape::kXRows; i += kThreads) {
    const int r = i / Shape::kWeightRows;
    const int c = i % Shape::kWeightRows;
    if (first_row + r < product.rows && first_column + c < product.columns)
      store_sum<T>(product.out, (first_row + r) * product.columns + first_column + c,
                   tile[r * Shape::kPadded + c], product.wide);
  }
}

template <typename Shape>
dim3 grid_of(const ProductView& product) {
  return {static_cast<unsigned>((product.rows + Shape::kXRows - 1) / Shape::kXRows),
          static_cast<unsigned>((product.columns + Shape::kWeightRows - 1) / Shape::kWeightRows)};
}

template <typename T, typename Shape, bool kAligned>
void launch(const ProductView& product, cudaStream_t stream) {
  constexpr auto kernel = many_rows_kernel<T, Shape, kAligned>;
  static const cudaError_t allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                          static_cast<int>(Shape::kSharedBytes));
  (void)allowed;  // where not, the launch fails
  launch_dependent(kernel, grid_of<Shape>(product), kThreads, Shape::kSharedBytes, stream, product);
}

template <typename T, bool kAligned>
void launch_shape(const ProductView& product, cudaStream_t stream) {
  using Large = TileShape<128, 128, 4>;
  using Small = TileShape<64, 64, 6>;
  const dim3 large = grid_of<Large>(product);
  constexpr unsigned kEnough = 128;  // blocks for a GPU of some 100 multiprocessors
  if (large.x * large.y >= kEnough) {
    launch<T, Large, kAligned>(product, stream);
  } else {
    launch<T, Small, kAligned>(product, stream);
  }
}

template <typename T>
void launch_aligned(const ProductView& product, cudaStream_t stream) {
  if (product.aligned) {
    launch_shape<T, true>(product, stream);
  } else {
    launch_shape<T, false>(product, stream);
  }
}

}  // namespace

void multiply_many_rows(DType dtype, const ProductView& product, cudaStream_t stream) {
  if (dtype == DType::bfloat16) {
    launch_aligned<c10::BFloat16>(product, stream);
  } else {
    launch_aligned<c10::Half>(product, stream);
  }
}

}  // namespace shardrift::cuda
