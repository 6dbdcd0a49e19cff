// The time of reading bytes once and doing nothing with them: the floor of what reads weights.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>

namespace shardrift {

// Enqueues a read of `bytes` (a multiple of 16) at `data`; `never` is written only where all of them are
// ones.
void enqueue_plain_read(const void* data, std::size_t bytes, unsigned* never, cudaStream_t stream);

}  // namespace shardrift
