// A CUDA stream's events and graphs.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "model/device_queue.hpp"

namespace shardrift::cuda {

std::unique_ptr<DeviceEvent> make_event(cudaStream_t stream);

// What `work` enqueues on the stream, as a CUDA graph; nothing runs. Everything it calls must allow capture:
// no waits, no transfers from pageable memory, no allocation. Throws failure, with what `work` threw if it
// did.
std::unique_ptr<CapturedWork> capture(cudaStream_t stream, const std::function<void()>& work);

}  // namespace shardrift::cuda
