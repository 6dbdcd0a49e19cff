// Products of pairs of a row and its expert: blockIdx.y is a pair. Of an expert's pairs, ascending, every
// kXRows-th has a block that multiplies it and those after it, so that weights stream past once for all of
// them; the blocks of the others end at once. A pair's bits do not depend on which are together.
//
// Weights are on their way before the kernel before has ended where the routes are settled: those were then
// written by a kernel before that one, which has ended, because kernels that come before an expert's product
// let the next one start only after they have waited themselves (this one, activation, combine_experts).
#pragma once
#include "model/cuda/products/few_rows.cuh"
#include "model/cuda/warp.hpp"

namespace shardrift::cuda {

// Whether a block begins with this pair: of its expert's, it is the first, or the first after `most`. All
// lanes.
template <int most>
__device__ bool begins_block(const std::int32_t* experts, int first) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int32_t expert = experts[first];
  int before = 0;  // of the same expert
  for (int begin = 0; begin < first; begin += 32)
    before += __popc(__ballot_sync(kWholeWarp, begin + lane < first && experts[begin + lane] == expert));
  return before % most == 0;
}

// The block's pairs into `of_block` [most], -1 where there are fewer. A warp calls it.
template <int most>
__device__ void find_pairs(const std::int32_t* experts, int count, int first, int* of_block) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int32_t expert = experts[first];
  int found = 0;
  for (int begin = first; begin < count && found < most; begin += 32) {
    const int pair = begin + lane;
    const bool same = pair < count && experts[pair] == expert;
    const unsigned all = __ballot_sync(kWholeWarp, same);
    const int place = found + __popc(all & ((1U << lane) - 1));
    if (same && place < most) of_block[place] = pair;
    found += __popc(all);
  }
  for (int place = found + lane; place < most; place += 32) of_block[place] = -1;
}

// shared_by: pairs that have a row of x
struct PairRows {
  const int* pairs;
  int shared_by;
  __device__ std::int64_t x(int i) const { return pairs[i] < 0 ? -1 : pairs[i] / shared_by; }
  __device__ std::int64_t out(int i) const { return pairs[i]; }
};

template <typename T, typename Weights, typename Shape>
__global__ void __launch_bounds__(Shape::kThreads)
    grouped_rows_kernel(ProductView product, const ExpertMatrix* table, const std::int32_t* experts,
                        int pairs, int shared_by, bool settled) {
  extern __shared__ uint4 shared[];
  __shared__ int of_block[Shape::kXRows];
  if (!settled) wait_for_previous();
  const int first = static_cast<int>(blockIdx.y);
  // Who comes next counts on all that came before: nobody ends without having waited.
  if (!begins_block<Shape::kXRows>(experts, first)) return wait_for_previous();
  const ExpertMatrix expert = table[experts[first]];
  if (threadIdx.x < 32) find_pairs<Shape::kXRows>(experts, pairs, first, of_block);
  __syncthreads();
  if (expert.weight == nullptr) return wait_for_previous();
  product.weight = expert.weight;
  product.scales = expert.scales;
  product.bias = expert.bias;
  multiply_few<T, Weights, Shape>(product, PairRows{of_block, shared_by},
                                  static_cast<std::int64_t>(blockIdx.x) * Shape::kWeightRows, shared);
}

// Whether blocks take 16 of an expert's pairs, not 8: where an expert has more than 4 of them on average.
// Their rows take shared memory, so that fewer blocks are on a multiprocessor.
inline bool takes_two_tiles(const ExpertTable& table, const ExpertPairs& pairs) {
  return pairs.rows > 8 && pairs.count() > 4 * table.count;
}

template <typename T, typename Weights, typename Shape>
void launch_grouped_rows(const ProductView& product, const ExpertTable& table, const ExpertPairs& pairs,
                         cudaStream_t stream) {
  launch_few<grouped_rows_kernel<T, Weights, Shape>, Weights, Shape>(
      pairs.count(), stream, product, table.experts, pairs.experts, static_cast<int>(pairs.count()),
      static_cast<int>(pairs.count() / product.rows), pairs.settled);
}

}  // namespace shardrift::cuda
