// NCCL's all-reduce of symmetric memory: buffers registered as windows, every rank reading the others'. A
// model, read off the published source of NCCL 2.30.7. That the cost model takes these kernels with so many
// blocks was confirmed for two H200s by NCCL 2.28.9's own log; orders, which show from three ranks on, were
// not probed:
//
//   src/device/symmetric/all_reduce.cuh   the kernels;  primitives.cuh  float32 sums of 16-bit messages
//   src/sym_kernels.cc                    which kernel with how many blocks: its cost model
//   src/scheduler/symmetric_sched.cc      the blocks that a short message is really spread over
//
//   AGxLL_R       small messages: every rank adds all of it, 0, 1, … N-1
//   RSxLD_AGxST   the rank that owns a cell adds it, itself first: r, r+1, … N-1, 0, … r-1. The first whole
//                 rounds of 8192 · N · B bytes, B blocks, are cut into cells of 2048 bytes; whole rounds of
//                 2048 · N · B bytes of the rest into cells of 512 bytes; what is left into groups of 32
//                 elements. Each of the three counts its cells from 0; cell i is rank i mod N's.
//
// So the border between long and short cells depends on the number of blocks, hence on the cost model. It is
// followed here for GPUs below compute capability 10.0 with everything at its default (1 to 64 blocks, no
// NCCL_SYM_… variable), one all-reduce at a time, both buffers in windows and at multiples of 16 bytes, all
// ranks of one NVLink domain, and *without multicast* (NCCL_NVLS_ENABLE=0, or two ranks): with it the switch
// adds, in an order of its own. 16-bit messages are added in float32 and rounded once; float64 ones are not
// summed so.
#pragma once
#include <cstdint>
#include <string_view>

#include "common/dtype.hpp"
#include "parallel/reduction/order_map.hpp"

namespace shardrift {

inline constexpr std::string_view kNcclSymmetricVersion = "2.30.7";

struct NcclSymmetricKernel {
  bool low_latency = true;  // AGxLL_R; else RSxLD_AGxST
  int blocks = 1;           // that the message is spread over
  bool operator==(const NcclSymmetricKernel&) const = default;
};

NcclSymmetricKernel nccl_symmetric_kernel(std::int64_t bytes, int ranks);

// RSxLD_AGxST's cells with so many blocks.
OrderMap nccl_symmetric_cells(std::int64_t count, DType dtype, int ranks, int blocks);

// Whichever kernel the cost model takes. Throws usage_error for float64 and for ranks outside 2 to 64.
OrderMap nccl_symmetric_map(std::int64_t count, DType dtype, int ranks);

}  // namespace shardrift
