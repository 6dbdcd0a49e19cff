// CUDA errors as ours, with the call and its place.
#pragma once
#include <cuda_runtime_api.h>

#include "common/error.hpp"

namespace shardrift::cuda {

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw failure("{}: {} ({})", what, cudaGetErrorString(error), cudaGetErrorName(error));
}

}  // namespace shardrift::cuda
