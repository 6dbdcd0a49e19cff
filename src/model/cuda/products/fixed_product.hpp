// Matrix products on GPUs whose order along K depends on K alone (--products fixed).
//
// float16, bfloat16, by tensor cores: K is cut into chunks of 64, chunk c belongs to strand c mod 8. A strand
// adds its chunks in ascending order, each by four m16n8k16 (fragments.cuh says which k they take); then the
// eight strands are added in ascending order, and the sum is rounded once. float32, float64: as on CPUs, bit
// by bit: 16 (8) strands, strand s of k = s, s + 16, …, each a chain of fused multiply-adds, added in a tree.
// Elements beyond K are zeros.
#pragma once
#include <cuda_runtime_api.h>

#include "model/cuda/products/coded_weights.hpp"
#include "model/matrix.hpp"

namespace shardrift::cuda {

// out[rows, N] = x[rows, K] · weight[N, K]ᵀ, out in x's dtype, or float32 where x has 16 bits. Enqueued on
// `stream`; may read weights, never x, before what was enqueued earlier has run: kernels that write weights
// are awaited by whoever enqueued them. Coded weights give the bits of those that they stand for; for many
// rows these are written to `decoded` first.
void fixed_product(const Matrix& x, const Weight& weight, const Matrix& out, DecodedWeights& decoded,
                   cudaStream_t stream);

}  // namespace shardrift::cuda
