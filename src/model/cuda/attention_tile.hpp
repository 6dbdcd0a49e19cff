// What attention on tensor cores computes for 16 query rows over 64 keys, and how such results meet. For
// device code only. Prefill and decode share every line here that rounds, so that a row has the same bits in
// both.
//
// The order of a row's sums, which is a constant of the numerics:
//   chunk   64 keys at absolute positions. Scores are float32 sums over head_dim in steps of 16 (within 32
//           elements a step takes those that step_of() says), weights exp2(score - the chunk's highest),
//           their sum in float32; weights rounded to the model's dtype times values, in steps of 16 keys.
//   span    4 chunks, merged in ascending order into an empty state (Milakov and Gimelshein 2018).
//   row     its spans, merged likewise.
// Every product, sum and merge is written with intrinsics that the compiler does not contract.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "model/cuda/rounded_pair.hpp"
#include "model/cuda/warp.hpp"
#include "weights/attention_scratch.hpp"

namespace shardrift::cuda {

constexpr int kChunk = 64;
constexpr int kSpanChunks = 4;
constexpr int kSpan = kChunk * kSpanChunks;
static_assert(kSpan == kAttentionSpan);
constexpr int kTileRows = 16;  // query rows of one tensor-core product

// Scores in units of log2(e). cap 0: none; else factor has the cap's inverse in it.
struct ScoreScale {
  float factor = 0;
  float cap = 0;
};

// Which keys each of a lane's two rows sees: positions [begin, end).
struct SeenKeys {
  int begin[2];
  int end[2];
};

// d += a · b: a [16, 16], b [16, 8], float32 sums.
template <typename T>
__device__ inline void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                    std::uint32_t b1) {
  if constexpr (std::is_same_v<T, c10::BFloat16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

// Four 8 x 8 tiles of 16-bit numbers in shared memory, transposed as a product's right operand has them: lane
// 8m + r gives the address of tile m's row r.
__device__ inline void load_transposed(std::uint32_t (&words)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(address)
               : "memory");
}

// Scores of 16 rows and 64 keys; a lane has rows lane / 4 and lane / 4 + 8, keys 8n + 2(lane % 4) and the
// next.
using Scores = float[kChunk / 8][4];

// 32 elements of head_dim: a lane's 16 bytes of its row (of queries: and of the row 8 below) hold elements
// 8(lane % 4) to + 7. The first step of 16 takes their first half, the second their second.
template <typename T>
__device__ inline void add_scores(float (&scores)[4], const uint4& upper, const uint4& lower,
                                  const uint4& key) {
  const std::uint32_t first[4] = {upper.x, lower.x, upper.y, lower.y};
  const std::uint32_t second[4] = {upper.z, lower.z, upper.w, lower.w};
  multiply_add<T>(scores, first, key.x, key.y);
  multiply_add<T>(scores, second, key.z, key.w);
}

// A chunk's weights, rounded, as the left operand of their product with values: [steps of 16 keys].
struct ChunkWeights {
  float top[2];  // -infinity: the row sees none of the chunk's keys
  float sum[2];
  std::uint32_t weights[kChunk / 16][4];
};

// kHalves 1: rows 8 to 15 are nobody's. whole: each row sees all 64 keys.
template <typename T, int kHalves = 2>
__device__ inline void weigh(Scores& scores, int first_key, const SeenKeys& seen, const ScoreScale& scale,
                             bool whole, ChunkWeights& out) {
  const int key = first_key + 2 * static_cast<int>(threadIdx.x % 4);
#pragma unroll
  for (int n = 0; n < kChunk / 8; ++n)
#pragma unroll
    for (int e = 0; e < 2 * kHalves; ++e) scores[n][e] = __fmul_rn(scores[n][e], scale.factor);
  if (scale.cap != 0) {
#pragma unroll
    for (int n = 0; n < kChunk / 8; ++n)
#pragma unroll
      for (int e = 0; e < 2 * kHalves; ++e) scores[n][e] = __fmul_rn(scale.cap, tanhf(scores[n][e]));
  }
  if (!whole) {
#pragma unroll
    for (int n = 0; n < kChunk / 8; ++n)
#pragma unroll
      for (int e = 0; e < 2 * kHalves; ++e) {
        const int at = key + 8 * n + e % 2;
        if (at < seen.begin[e / 2] || at >= seen.end[e / 2]) scores[n][e] = -INFINITY;
      }
  }
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    out.top[row] = -INFINITY;
    out.sum[row] = 0;
  }
#pragma unroll
  for (int row = 0; row < kHalves; ++row) {
#pragma unroll
    for (int n = 0; n < kChunk / 8; ++n)
      out.top[row] = fmaxf(out.top[row], fmaxf(scores[n][2 * row], scores[n][2 * row + 1]));
    out.top[row] = fmaxf(out.top[row], __shfl_xor_sync(kWholeWarp, out.top[row], 1));
    out.top[row] = fmaxf(out.top[row], __shfl_xor_sync(kWholeWarp, out.top[row], 2));
    const float base = out.top[row] == -INFINITY ? 0.0F : out.top[row];
#pragma unroll
    for (int n = 0; n < kChunk / 8; ++n) {
#pragma unroll
      for (int e = 2 * row; e < 2 * row + 2; ++e) {
        scores[n][e] = exp2f(__fsub_rn(scores[n][e], base));
        out.sum[row] = __fadd_rn(out.sum[row], scores[n][e]);
      }
    }
    out.sum[row] = __fadd_rn(out.sum[row], __shfl_xor_sync(kWholeWarp, out.sum[row], 1));
    out.sum[row] = __fadd_rn(out.sum[row], __shfl_xor_sync(kWholeWarp, out.sum[row], 2));
  }
#pragma unroll
  for (int step = 0; step < kChunk / 16; ++step) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto& pair = scores[2 * step + half];
      out.weights[step][2 * half] = rounded_pair<T>(pair[0], pair[1]);
      out.weights[step][2 * half + 1] = kHalves == 2 ? rounded_pair<T>(pair[2], pair[3]) : 0;
    }
  }
}

// A running softmax of one row; its weighted values stand beside it.
struct SoftmaxState {
  float top = -INFINITY;
  float sum = 0;
};
struct MergeFactors {
  float old, added;
};

// `added` saw a key.
__device__ inline MergeFactors merge(SoftmaxState& state, float added_top, float added_sum) {
  const float top = fmaxf(state.top, added_top);
  const MergeFactors factors{exp2f(__fsub_rn(state.top, top)), exp2f(__fsub_rn(added_top, top))};
  state.sum = __fmaf_rn(added_sum, factors.added, __fmul_rn(state.sum, factors.old));
  state.top = top;
  return factors;
}
__device__ inline float merged(float value, float added, const MergeFactors& factors) {
  return __fmaf_rn(added, factors.added, __fmul_rn(value, factors.old));
}

// What a row's values are scaled and divided by at the end; a sink is one more score, without a value.
struct LastFactors {
  float scale, total;
};
template <typename T>
__device__ inline LastFactors last_factors(const SoftmaxState& state, const void* sinks, int head) {
  if (sinks == nullptr) return {1.0F, state.sum};
  constexpr float kLog2E = 1.4426950408889634F;
  const float sink = __fmul_rn(static_cast<float>(static_cast<const T*>(sinks)[head]), kLog2E);
  const float top = fmaxf(state.top, sink);
  const float scale = exp2f(__fsub_rn(state.top, top));
  return {scale, __fmaf_rn(state.sum, scale, exp2f(__fsub_rn(sink, top)))};
}
__device__ inline float finished(float value, const LastFactors& last) {
  return __fdiv_rn(__fmul_rn(value, last.scale), last.total);
}

}  // namespace shardrift::cuda
