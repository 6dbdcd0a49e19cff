// Programmatic dependent launch (CUDA programming guide, chapter of that name; compute capability 9.0 on): a
// kernel's blocks come to the multiprocessors while the kernel before it in the stream ends, and wait there
// for its results. On older devices these are plain launches.
#pragma once
#include <cuda_runtime_api.h>

namespace shardrift::cuda {

#ifdef __CUDACC__
// Until the kernel before has ended and its writes are seen. Before it a kernel may read only what no kernel
// of the pass writes, and may write nothing.
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

// The kernel after this may come as soon as all blocks have called this or ended; it still waits as above.
__device__ inline void let_next_start() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

// kernel must call wait_for_previous.
template <typename... Parameters, typename... Arguments>
void launch_dependent(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
                      cudaStream_t stream, const Arguments&... arguments) {
  static thread_local const bool supported = [] {
    int device = 0;
    int major = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    return major >= 9;
  }();
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = supported ? 1 : 0;
  cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}
#endif

}  // namespace shardrift::cuda
