// Backend::linear_of_experts on GPUs, of numbers of 16 bits: fixed products of all pairs in one launch.
#pragma once
#include <cuda_runtime_api.h>

#include "model/backend.hpp"

namespace shardrift::cuda {

// A pair's bits are those of fixed_product of its row alone, or among others; then its bias, as add adds it.
void grouped_product(const Matrix& x, const ExpertTable& table, const ExpertPairs& pairs, const Matrix& out,
                     cudaStream_t stream);

}  // namespace shardrift::cuda
