// Matrix products on GPUs: ATen, which calls cuBLAS. All torch of the CUDA path is behind this header.
#pragma once
#include <cuda_runtime_api.h>

#include "model/matrix.hpp"

namespace shardrift::cuda {

// A stream of torch's pool, made current for this thread; sets the math mode.
cudaStream_t start_torch(bool tf32);
// Another one of the pool, not made current.
cudaStream_t another_stream();
// What products are enqueued on from now on, of this thread: a stream of torch's pool. Torch keeps a cuBLAS
// workspace for each stream, all of one size: the same product takes the same kernel on each.
void set_product_stream(cudaStream_t stream);
void linear(const Matrix& x, const Weight& weight, const Matrix& out);  // see Backend::linear

}  // namespace shardrift::cuda
