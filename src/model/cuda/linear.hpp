// Matrix products on GPUs: ATen, which calls cuBLAS. All torch of the CUDA path is behind this header.
#pragma once
#include <cuda_runtime_api.h>

#include "model/matrix.hpp"

namespace shardrift::cuda {

// A stream of torch's pool, made current for this thread; sets the math mode.
cudaStream_t start_torch(bool tf32);
void linear(const Matrix& x, const Weight& weight, const Matrix& out);  // see Backend::linear

}  // namespace shardrift::cuda
