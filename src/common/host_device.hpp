// SHARDRIFT_DEVICE: a function that host code and CUDA kernels share.
#pragma once

#ifdef __CUDACC__
#define SHARDRIFT_DEVICE __host__ __device__
#else
#define SHARDRIFT_DEVICE
#endif
