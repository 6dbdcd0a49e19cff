#include "parallel/order_models/fold_order.hpp"

#include "common/error.hpp"
#include "parallel/order_models/doubling_order.hpp"
#include "parallel/order_models/engine_order.hpp"
#include "parallel/order_models/nccl_symmetric.hpp"
#include "parallel/order_models/vllm_order.hpp"

namespace shardrift {

OrderMap fold_order_map(const Reduction& reduction, int shards, std::int64_t count, DType dtype) {
  switch (reduction.order) {
    case ReductionOrder::halving_doubling:
      return halving_doubling_map(count, shards);
    case ReductionOrder::vllm_one_stage:
      return vllm_one_stage_map(count, dtype, shards);
    case ReductionOrder::vllm_two_stage:
      return vllm_two_stage_map(count, dtype, shards);
    case ReductionOrder::nccl_symmetric:
      return nccl_symmetric_map(count, dtype, shards);
    case ReductionOrder::engine:
      return engine_map(reduction.engine, count, dtype, shards);
    default:
      return local_order_map(reduction, shards, count);
  }
}

void check_published_shards(const Reduction& reduction, int shards) {
  if (!reduction.is_published()) return;
  if (shards < 2)
    throw usage_error("--reduction {} with --shards {}: nothing is summed; give --shards 2 or more",
                      order_text(reduction), shards);
  const bool vllm = reduction.order == ReductionOrder::vllm_one_stage ||
                    reduction.order == ReductionOrder::vllm_two_stage ||
                    reduction.order == ReductionOrder::engine;
  if (vllm) require_vllm_ranks(shards);
}

PublishedSum published_sum(const Reduction& reduction, int shards, std::int64_t count, DType dtype) {
  const auto bytes = count * static_cast<std::int64_t>(size_of(dtype));
  switch (reduction.order) {
    case ReductionOrder::halving_doubling:
      return {"mpi", "", "halving-doubling", ""};
    case ReductionOrder::vllm_one_stage:
      return {"vllm", std::string(kVllmVersion), "one-stage", ""};
    case ReductionOrder::vllm_two_stage:
      return {"vllm", std::string(kVllmVersion), "two-stage", ""};
    case ReductionOrder::engine: {
      const auto sum = engine_choice(reduction.engine, bytes, dtype, shards);
      return {"vllm", std::string(kVllmVersion), sum == EngineSum::vllm_two_stage ? "two-stage" : "one-stage",
              ""};
    }
    case ReductionOrder::nccl_symmetric: {
      const auto kernel = nccl_symmetric_kernel(bytes, shards);
      return {"nccl", std::string(kNcclSymmetricVersion),
              kernel.low_latency ? "symmetric AGxLL_R" : "symmetric RSxLD_AGxST",
              std::to_string(kernel.blocks)};
    }
    default:
      throw failure("--reduction {} is no published sum: this is a bug", order_text(reduction));
  }
}

}  // namespace shardrift
