// vLLM's custom all-reduce, of one stage and of two. A model, read off the published source of vLLM 0.33.0
// (its source distribution), not confirmed by a probe:
//
//   csrc/custom_all_reduce.cuh            the two kernels, and the choice between them by bytes
//   csrc/custom_collective_common.cuh     packs of 16 bytes, widened to float32, added, rounded once
//   vllm/distributed/device_communicators/custom_all_reduce.py
//                                         which ranks, dtypes and sizes it takes
//
//   one-stage   every rank adds all of the message: 0, 1, … N-1
//   two-stage   the message's packs of 16 bytes are cut into N parts of floor(packs / N), the LAST of which
//               has what is left over; owner r adds its part: r, r+1, … N-1, 0, … r-1
//
// One-stage is our own one-shot. Two-stage is our two-shot where N divides the packs: else two-shot gives one
// more pack to each of the first parts (peer_order.hpp).
#pragma once
#include <cstdint>
#include <string_view>

#include "common/dtype.hpp"
#include "parallel/reduction/order_map.hpp"

namespace shardrift {

inline constexpr std::string_view kVllmVersion = "0.33.0";
inline constexpr std::int64_t kVllmPack = 16;  // bytes

// 2, 4, 6 or 8 ranks, of one host and, beyond two, all of them joined by NVLink.
bool vllm_custom_takes(int ranks);

// Throw usage_error, which says what sums instead, for other numbers of ranks and for messages that are no
// multiple of 16 bytes. Neither is bound by a size: which one vLLM takes is its engine's table.
void require_vllm_ranks(int ranks);
OrderMap vllm_one_stage_map(std::int64_t count, DType dtype, int ranks);
OrderMap vllm_two_stage_map(std::int64_t count, DType dtype, int ranks);

}  // namespace shardrift
