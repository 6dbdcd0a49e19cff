// CUDA devices, without CUDA headers. Present in CUDA builds (SHARDRIFT_HAVE_CUDA).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/backend.hpp"

namespace shardrift {

struct CudaDevice {
  std::string name;                // "NVIDIA H100 80GB HBM3"
  std::string uuid;                // "GPU-…"
  std::string compute_capability;  // "9.0"
  std::string driver;              // highest CUDA version the driver supports, "13.0"
  std::string runtime;             // "13.0"
};

// UUIDs of those visible to this process, in CUDA's order.
std::vector<std::string> cuda_device_uuids();
int cuda_device_count();                   // visible to this process; 0 where there is no driver
CudaDevice select_cuda_device(int index);  // makes it this process's device; throws failure

// The selected device. Math mode is set once: no reduced-precision sums, TF32 only where asked for.
std::unique_ptr<Backend> make_cuda_backend(bool tf32, Products products = Products::library);
void* cuda_stream(const Backend& backend);  // cudaStream_t that every operation is enqueued on

}  // namespace shardrift
