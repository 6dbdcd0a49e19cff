// Products of few rows: the weights stream through once, as fast as memory gives them. A block has 16 or 32
// weight rows, its warp w strand w of them. A lane multiplies what it fetched itself, so warps never meet
// before their sums do.
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/products/fragments.cuh"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {
namespace {

constexpr int kThreads = kStrands * 32;

// tiles of 16 weight rows by tiles of 8 rows of x; chunks of a strand in flight, and one at work
template <int weight_tiles, int x_tiles, int stages_>
struct FewShape {
  static constexpr int kWeightTiles = weight_tiles;
  static constexpr int kXTiles = x_tiles;
  static constexpr int kStages = stages_;
  static constexpr int kWeightRows = 16 * weight_tiles;
  static constexpr int kXRows = 8 * x_tiles;
  static constexpr int kWeightUnits = 4 * weight_tiles;  // of a lane, of a chunk
  static constexpr int kLaneUnits = kWeightUnits + 2 * x_tiles;
  static constexpr unsigned kStageBytes = kThreads * kLaneUnits * kUnitBytes;
  static constexpr unsigned kSharedBytes = kStages * kStageBytes;
  static_assert(kStrands * kWeightRows * kXRows * sizeof(float) <= kSharedBytes);
};

template <typename T, typename Shape, bool kAligned>
__global__ void __launch_bounds__(kThreads) few_rows_kernel(ProductView product) {
  extern __shared__ uint4 shared[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int g = lane / 4;
  const int k_of_lane = warp * kChunk + lane % 4 * kUnit;
  const std::int64_t first_column = static_cast<std::int64_t>(blockIdx.x) * Shape::kWeightRows;
  const std::int64_t first_row = static_cast<std::int64_t>(blockIdx.y) * Shape::kXRows;
  const int chunks = chunks_of(product.k);
  const int steps = chunks > warp ? (chunks - warp + kStrands - 1) / kStrands : 0;
  const unsigned own = shared_address(shared) + (warp * Shape::kLaneUnits * 32 + lane) * kUnitBytes;
  const auto place_of = [&](int step, int unit) {
    return own + step % Shape::kStages * Shape::kStageBytes + unit * 32 * kUnitBytes;
  };

  const std::uint16_t* weight[2 * Shape::kWeightTiles];  // rows g and g + 8 of each tile
  bool weight_there[2 * Shape::kWeightTiles];
#pragma unroll
  for (int i = 0; i < 2 * Shape::kWeightTiles; ++i) {
    const std::int64_t row = first_column + 8 * i + g;
    weight_there[i] = row < product.columns;
    weight[i] = static_cast<const std::uint16_t*>(product.weight) + (weight_there[i] ? row : 0) * product.k;
  }
  const std::uint16_t* x[Shape::kXTiles];
  bool x_there[Shape::kXTiles];
#pragma unroll
  for (int i = 0; i < Shape::kXTiles; ++i) {
    const std::int64_t row = first_row + 8 * i + g;
    x_there[i] = row < product.rows;
    x[i] = static_cast<const std::uint16_t*>(product.x) + (x_there[i] ? row : 0) * product.k;
  }
  const auto bring_weight = [&](int step) {
    const int k = k_of_lane + step * kStrands * kChunk;
#pragma unroll
    for (int i = 0; i < 2 * Shape::kWeightTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        bring_unit<kAligned>(place_of(step, 2 * i + half), weight[i], k + half * (kChunk / 2), product.k,
                             weight_there[i]);
  };
  const auto bring_x = [&](int step) {
    const int k = k_of_lane + step * kStrands * kChunk;
#pragma unroll
    for (int i = 0; i < Shape::kXTiles; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half)
        bring_unit<kAligned>(place_of(step, Shape::kWeightUnits + 2 * i + half), x[i],
                             k + half * (kChunk / 2), product.k, x_there[i]);
  };

  let_next_start();
  constexpr int kAhead = Shape::kStages - 1;
  for (int step = 0; step < kAhead; ++step)
    if (step < steps) bring_weight(step);
  end_copies();
  wait_for_previous();
  for (int step = 0; step < kAhead; ++step) {
    if (step < steps) bring_x(step);
    end_copies();
  }

  float sums[Shape::kWeightTiles][Shape::kXTiles][4] = {};
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<kAhead - 1>();
    if (step + kAhead < steps) {  // where step - 1 was
      bring_weight(step + kAhead);
      bring_x(step + kAhead);
    }
    end_copies();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint4 rows[Shape::kXTiles];
#pragma unroll
      for (int i = 0; i < Shape::kXTiles; ++i)
        rows[i] = shared_unit(place_of(step, Shape::kWeightUnits + 2 * i + half));
#pragma unroll
      for (int m = 0; m < Shape::kWeightTiles; ++m) {
        const uint4 low = shared_unit(place_of(step, 4 * m + half));
        const uint4 high = shared_unit(place_of(step, 4 * m + 2 + half));
#pragma unroll
        for (int i = 0; i < Shape::kXTiles; ++i) multiply_add_half<T>(sums[m][i], low, high, rows[i]);
      }
    }
  }

  wait_for_copies<0>();
  __syncthreads();  // from here on shared memory is for sums: [strand][row of x][weight row]
  auto* parts = reinterpret_cast<float*>(shared);
#pragma unroll
  for (int m = 0; m < Shape::kWeightTiles; ++m)
#pragma unroll
    for (int n = 0; n < Shape::kXTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        parts[(warp * Shape::kXRows + 8 * n + x_row_of(lane, i)) * Shape::kWeightRows + 16 * m +
              weight_row_of(lane, i)] = sums[m][n][i];
  __syncthreads();
  constexpr int kOutputs = Shape::kWeightRows * Shape::kXRows;
  for (int i = static_cast<int>(threadIdx.x); i < kOutputs; i += kThreads) {
    const std::int64_t row = first_row + i / Shape::kWeightRows;
    const std::int64_t column = first_column + i % Shape::kWeightRows;
    if (row >= product.rows || column >= product.columns) continue;
    float sum = parts[i];
#pragma unroll
    for (int strand = 1; strand < kStrands; ++strand) sum += parts[strand * kOutputs + i];
    store_sum<T>(product.out, row * product.columns + column, sum, product.wide);
  }
}

template <typename T, typename Shape, bool kAligned>
void launch(const ProductView& product, cudaStream_t stream) {
  constexpr auto kernel = few_rows_kernel<T, Shape, kAligned>;
  static const cudaError_t allowed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                          static_cast<int>(Shape::kSharedBytes));
  (void)allowed;  // where not, the launch fails
  const dim3 grid(static_cast<unsigned>((product.columns + Shape::kWeightRows - 1) / Shape::kWeightRows),
                  static_cast<unsigned>((product.rows + Shape::kXRows - 1) / Shape::kXRows));
  launch_dependent(kernel, grid, kThreads, Shape::kSharedBytes, stream, product);
}

template <typename T, typename Shape>
void launch_aligned(const ProductView& product, cudaStream_t stream) {
  if (product.aligned) {
    launch<T, Shape, true>(product, stream);
  } else {
    launch<T, Shape, false>(product, stream);
  }
}

template <typename T>
void launch_shape(const ProductView& product, cudaStream_t stream) {
  if (product.rows <= 8) {
    launch_aligned<T, FewShape<1, 1, 4>>(product, stream);
  } else if (product.rows <= 16) {
    launch_aligned<T, FewShape<1, 2, 4>>(product, stream);
  } else {
    launch_aligned<T, FewShape<2, 4, 3>>(product, stream);
  }
}

}  // namespace

void multiply_few_rows(DType dtype, const ProductView& product, cudaStream_t stream) {
  if (dtype == DType::bfloat16) {
    launch_shape<c10::BFloat16>(product, stream);
  } else {
    launch_shape<c10::Half>(product, stream);
  }
}

}  // namespace shardrift::cuda
