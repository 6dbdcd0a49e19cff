#include "model/cpu/products/product_kernels.hpp"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace shardrift {

std::vector<const ProductKernels*> product_kernels() {
  std::vector<const ProductKernels*> kernels;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    kernels.push_back(&avx512_product_kernels());
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
    kernels.push_back(&avx2_product_kernels());
#endif
  kernels.push_back(&portable_product_kernels());
  return kernels;
}

bool has_matrix_unit([[maybe_unused]] bool float16) {
#ifdef __x86_64__
  // Source: Intel SDM, CPUID leaf 7: AMX-TILE and AMX-BF16 in EDX of subleaf 0, AMX-FP16 in EAX of subleaf 1.
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool tiles = (d >> 24 & 1U) != 0;
  const bool bfloat16 = (d >> 22 & 1U) != 0;
  if (!float16) return tiles && bfloat16;
  return tiles && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 21 & 1U) != 0;
#else
  return false;
#endif
}

}  // namespace shardrift
