// Which all-reduce a serving engine calls for a message: a dispatch table by bytes, world size, GPU
// architecture and version. A model, read off the published source of vLLM 0.33.0, not confirmed by a probe:
//
//   vllm/distributed/device_communicators/cuda_communicator.py   the order in which all-reduces are asked
//   …/custom_all_reduce.py, csrc/custom_all_reduce.cuh           what the custom one takes, and by which
//   kernel …/all_reduce_utils.py, …/symm_mem.py                         sizes by architecture
//
//   vllm                  custom up to 8 MiB, then NCCL: where torch's symmetric memory is not used (other
//   GPUs
//                         than the below, no multicast, or VLLM_ALLREDUCE_USE_SYMM_MEM=0)
//   vllm:9.0 :10.0 :10.3  of that compute capability, with it: custom up to a size by world size, then
//   torch's
//                         (bfloat16 only), then NCCL
//   vllm:batch-invariant  VLLM_BATCH_INVARIANT=1: custom, one-stage, at every size
//
// FlashInfer's all-reduces, which 0.33.0 asks first where FlashInfer has them, are not in it: its order is no
// fixed one (VLLM_ALLREDUCE_USE_FLASHINFER=0, and fuse_allreduce_rms off). Nor is NCCL's symmetric memory,
// which is off unless VLLM_USE_NCCL_SYMM_MEM=1.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "common/named_enum.hpp"
#include "parallel/reduction/order_map.hpp"
#include "parallel/reduction/reduction.hpp"

namespace shardrift {

enum class EngineSum { vllm_one_stage, vllm_two_stage, torch_multimem, torch_two_shot, nccl };
constexpr auto names_of(EngineSum) {
  return std::to_array<Named<EngineSum>>({{EngineSum::vllm_one_stage, "vLLM one-stage"},
                                          {EngineSum::vllm_two_stage, "vLLM two-stage"},
                                          {EngineSum::torch_multimem, "torch multimem"},
                                          {EngineSum::torch_two_shot, "torch two-shot"},
                                          {EngineSum::nccl, "NCCL"}});
}

struct EngineRow {
  EngineSum sum = EngineSum::nccl;
  std::int64_t most_bytes = 0;  // it takes messages up to here, this one included,
  std::int64_t multiple = 1;    // of a multiple of so many bytes,
  bool bfloat16_only = false;   // and of that dtype
  bool takes(std::int64_t bytes, DType dtype) const;
  bool operator==(const EngineRow&) const = default;
};

// In the order in which the engine asks them: the first that takes a message sums it. The last takes all.
std::vector<EngineRow> engine_table(Engine engine, int ranks);
EngineSum engine_choice(Engine engine, std::int64_t bytes, DType dtype, int ranks);

// Throws usage_error where what the engine chooses has no model: torch's kernels, NCCL.
OrderMap engine_map(Engine engine, std::int64_t count, DType dtype, int ranks);

}  // namespace shardrift
