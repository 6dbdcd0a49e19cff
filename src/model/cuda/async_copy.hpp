// Copies of 16 bytes from global to shared memory that a thread begins and waits for later, without registers
// in between (PTX ISA, cp.async). What a thread copied it may read after waiting; others need a barrier
// besides. For device code only.
#pragma once
#include <cuda_runtime.h>

namespace shardrift::cuda {

constexpr int kUnitBytes = 16;

__device__ inline unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// 16 bytes to shared memory, zeros where not `there`.
__device__ inline void copy_unit(unsigned to, const void* from, bool there) {
  const int bytes = there ? kUnitBytes : 0;
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}
__device__ inline void end_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// All but the last `pending` groups of copies are there.
template <int pending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

__device__ inline uint4 shared_unit(unsigned address) {
  uint4 unit;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(unit.x), "=r"(unit.y), "=r"(unit.z), "=r"(unit.w)
               : "r"(address)
               : "memory");
  return unit;
}
__device__ inline void store_unit(unsigned address, const uint4& unit) {
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(address), "r"(unit.x), "r"(unit.y), "r"(unit.z),
               "r"(unit.w)
               : "memory");
}

}  // namespace shardrift::cuda
