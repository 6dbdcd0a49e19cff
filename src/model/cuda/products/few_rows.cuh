// The kernel of products of few rows: weights stream past once, as fast as memory gives them. A block has 16
// or 32 weight rows, its warp w strand w of them. A lane multiplies what it fetched itself, so warps never
// meet before their sums do. How weights lie in memory and become fragments is Weights' part:
//   kUnits                     of 16 bytes that a lane fetches of a chunk, at least
//   kAlignedX                  rows of x begin at multiples of 16 bytes
//   (product, column, warp, lane)
//   prepare()                  before the first chunk; all threads
//   bring(place)               the next chunk of the warp on its way to place(unit), unit < kUnits: chunks
//   warp,
//                              warp + kStrands, …
//   load(place)                when it is there
//   fragments(half, tile, low, high)
// Which rows a block has is Rows' part: row i of its kXRows is row x(i) of x and goes to row out(i); -1:
// none.
#pragma once
#include "model/cuda/dependent_launch.hpp"
#include "model/cuda/products/fragments.cuh"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {

// tiles of 16 weight rows by tiles of 8 rows of x; chunks of a strand in flight, and one at work
template <int weight_tiles, int x_tiles, int stages_>
struct FewShape {
  static constexpr int kThreads = kStrands * 32;
  static constexpr int kWeightTiles = weight_tiles;
  static constexpr int kXTiles = x_tiles;
  static constexpr int kStages = stages_;
  static constexpr int kWeightRows = 16 * weight_tiles;
  static constexpr int kXRows = 8 * x_tiles;
};

template <typename Weights, typename Shape>
struct FewMemory {
  static constexpr int kLaneUnits = Weights::kUnits + 2 * Shape::kXTiles;
  static constexpr unsigned kStageBytes = Shape::kThreads * kLaneUnits * kUnitBytes;
  static constexpr unsigned kBytes = Shape::kStages * kStageBytes;
  static_assert(kStrands * Shape::kWeightRows * Shape::kXRows * sizeof(float) <= kBytes);
};

// Rows of a pass, one after the other.
struct NextRows {
  std::int64_t first;
  std::int64_t count;  // of the pass
  __device__ std::int64_t x(int i) const { return first + i < count ? first + i : -1; }
  __device__ std::int64_t out(int i) const { return x(i); }
};

// Sums of all strands, added and stored.
template <typename T, typename Shape, typename Rows>
__device__ void store_strands(const float (&sums)[Shape::kWeightTiles][Shape::kXTiles][4], float* parts,
                              const ProductView& product, const Rows& rows, std::int64_t first_column) {
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < Shape::kWeightTiles; ++m)
#pragma unroll
    for (int n = 0; n < Shape::kXTiles; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i)  // [strand][row of x][weight row]
        parts[(warp * Shape::kXRows + 8 * n + x_row_of(lane, i)) * Shape::kWeightRows + 16 * m +
              weight_row_of(lane, i)] = sums[m][n][i];
  __syncthreads();
  constexpr int kOutputs = Shape::kWeightRows * Shape::kXRows;
  for (int i = static_cast<int>(threadIdx.x); i < kOutputs; i += Shape::kThreads) {
    const std::int64_t row = rows.out(i / Shape::kWeightRows);
    const std::int64_t column = first_column + i % Shape::kWeightRows;
    if (row < 0 || column >= product.columns) continue;
    float sum = parts[i];
#pragma unroll
    for (int strand = 1; strand < kStrands; ++strand) sum += parts[strand * kOutputs + i];
    if (product.bias != nullptr)
      sum = static_cast<float>(static_cast<T>(sum)) +
            static_cast<float>(static_cast<const T*>(product.bias)[column]);
    store_sum<T>(product.out, row * product.columns + column, sum, product.wide);
  }
}

// A block's outputs. shared: FewMemory::kBytes.
template <typename T, typename Weights, typename Shape, typename Rows>
__device__ void multiply_few(const ProductView& product, const Rows& rows, std::int64_t first_column,
                             uint4* shared) {
  using Memory = FewMemory<Weights, Shape>;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int chunks = chunks_of(product.k);
  const int steps = chunks > warp ? (chunks - warp + kStrands - 1) / kStrands : 0;
  const unsigned own = shared_address(shared) + (warp * Memory::kLaneUnits * 32 + lane) * kUnitBytes;
  const auto places_of = [](unsigned stage) {
    return [=](int unit) { return stage + unit * 32 * kUnitBytes; };
  };
  const auto after = [&](unsigned stage) {
    return stage == own + (Shape::kStages - 1) * Memory::kStageBytes ? own : stage + Memory::kStageBytes;
  };
  const int k_of_lane = warp * kChunk + lane % 4 * kUnit;
  int left = product.k - k_of_lane;        // elements of a row from the lane's next on
  const std::uint16_t* x[Shape::kXTiles];  // the lane's next element
  bool x_there[Shape::kXTiles];
#pragma unroll
  for (int i = 0; i < Shape::kXTiles; ++i) {
    const std::int64_t row = rows.x(8 * i + lane / 4);
    x_there[i] = row >= 0;
    x[i] = static_cast<const std::uint16_t*>(product.x) + (x_there[i] ? row : 0) * product.k + k_of_lane;
  }
  const auto bring_x = [&](const auto& place) {
#pragma unroll
    for (int i = 0; i < Shape::kXTiles; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half)
        bring_unit<Weights::kAlignedX>(place(Weights::kUnits + 2 * i + half), x[i] + half * (kChunk / 2),
                                       left - half * (kChunk / 2), x_there[i]);
      x[i] += kStrands * kChunk;
    }
    left -= kStrands * kChunk;
  };

  Weights weights(product, first_column, warp, lane);
  constexpr int kAhead = Shape::kStages - 1;
  for (int step = 0; step < kAhead; ++step)
    if (step < steps) weights.bring(places_of(own + step * Memory::kStageBytes));
  end_copies();
  weights.prepare();
  wait_for_previous();
  let_next_start();  // if not before
  for (int step = 0; step < kAhead; ++step) {
    if (step < steps) bring_x(places_of(own + step * Memory::kStageBytes));
    end_copies();
  }

  float sums[Shape::kWeightTiles][Shape::kXTiles][4] = {};
  unsigned here = own;
  unsigned ahead = own + kAhead * Memory::kStageBytes;  // where the step before was
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<kAhead - 1>();
    if (step + kAhead < steps) {
      weights.bring(places_of(ahead));
      bring_x(places_of(ahead));
    }
    end_copies();
    const auto place = places_of(here);
    ahead = here;
    here = after(here);
    weights.load(place);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint4 units[Shape::kXTiles];
#pragma unroll
      for (int i = 0; i < Shape::kXTiles; ++i) units[i] = shared_unit(place(Weights::kUnits + 2 * i + half));
#pragma unroll
      for (int m = 0; m < Shape::kWeightTiles; ++m) {
        uint4 low, high;
        weights.fragments(half, m, low, high);
#pragma unroll
        for (int i = 0; i < Shape::kXTiles; ++i) multiply_add_half<T>(sums[m][i], low, high, units[i]);
      }
    }
  }
  wait_for_copies<0>();
  __syncthreads();  // from here on shared memory is for sums
  store_strands<T, Shape>(sums, reinterpret_cast<float*>(shared), product, rows, first_column);
}

template <typename T, typename Weights, typename Shape>
__global__ void __launch_bounds__(Shape::kThreads) few_rows_kernel(ProductView product) {
  extern __shared__ uint4 shared[];
  let_next_start();
  const NextRows rows{static_cast<std::int64_t>(blockIdx.y) * Shape::kXRows, product.rows};
  multiply_few<T, Weights, Shape>(product, rows, static_cast<std::int64_t>(blockIdx.x) * Shape::kWeightRows,
                                  shared);
}

// parts: of the rows, blockIdx.y.
template <auto kernel, typename Weights, typename Shape, typename... Arguments>
void launch_few(std::int64_t parts, cudaStream_t stream, const ProductView& product,
                const Arguments&... arguments) {
  constexpr unsigned kBytes = FewMemory<Weights, Shape>::kBytes;
  static const cudaError_t allowed =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kBytes));
  (void)allowed;  // where not, the launch fails
  const dim3 grid(static_cast<unsigned>((product.columns + Shape::kWeightRows - 1) / Shape::kWeightRows),
                  static_cast<unsigned>(parts));
  launch_dependent(kernel, grid, Shape::kThreads, kBytes, stream, product, arguments...);
}

template <typename T, typename Weights, typename Shape>
void launch_few_rows(const ProductView& product, cudaStream_t stream) {
  launch_few<few_rows_kernel<T, Weights, Shape>, Weights, Shape>(
      (product.rows + Shape::kXRows - 1) / Shape::kXRows, stream, product);
}

}  // namespace shardrift::cuda
