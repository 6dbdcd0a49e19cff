// Kernels that start while the one before them ends (programmatic dependent launch, compute capability 9.0):
// each tells at its start that the next may come, reads what no kernel writes (weights), then waits.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>

namespace shardrift::cuda {

__device__ inline void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// All that was enqueued before has run, and its writes are seen.
__device__ inline void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

inline bool has_dependent_launch() {
  static const bool has = [] {
    int device = 0;
    int major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return major >= 9;
  }();
  return has;
}

// A kernel that calls wait_for_previous before it reads or writes what other kernels do.
template <typename... Parameters>
void launch_dependent(void (*kernel)(Parameters...), dim3 grid, unsigned threads, std::size_t shared_bytes,
                      cudaStream_t stream, Parameters... parameters) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = has_dependent_launch() ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, parameters...);
}

}  // namespace shardrift::cuda
