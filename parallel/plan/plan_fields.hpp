// The plan's table of fields: its JSON, its flags with their help, the resume key (which hashes the JSON),
// and what compare, explain and inspect list of it all come from here. A new field is a member in plan.hpp
// and a row below.
#pragma once
#include "common/field_table.hpp"
#include "common/field_text.hpp"
#include "common/flag_field.hpp"
#include "parallel/plan/plan.hpp"

namespace shardrift {

// The order of a reduction with what numbers it, as one field. Setting it sets the accumulator that goes with
// it (float64 for exact, float32 for most published sums), so its row stands before the accumulator's.
inline std::string text_of(const Reduction& reduction) {
  return order_text(reduction);
}
inline void read_text(std::string_view, const std::string& text, Reduction& reduction) {
  reduction = reduction_from_text(text);
}

inline constexpr auto partial_of = [](auto& plan) -> auto& {
  return plan.reduction.partial;
};
inline constexpr auto accumulator_of = [](auto& plan) -> auto& {
  return plan.reduction.accumulator;
};

constexpr auto fields_of(std::type_identity<Plan>) {
  constexpr auto in_plan = FlagGroup::plan;
  constexpr auto in_numerics = FlagGroup::numerics;
  return std::tuple{
      FlagField{"device", &Plan::device, in_plan, "cpu or cuda (default cpu)"},
      FlagField{"tensor_parallel", &Plan::tensor_parallel, in_plan,
                "R: ranks that share each layer (default 1)"},
      FlagField{"shards", &Plan::shards, in_plan,
                "S: slices of each layer's arithmetic, a multiple of R (default R)"},
      FlagField{"pipeline", &Plan::pipeline, in_plan, "P: stages that layers are dealt to (default 1)"},
      FlagField{"stage_layers", &Plan::stage_layers, in_plan,
                "layers of each stage, e.g. 7,23 (default: dealt evenly)"},
      FlagField{"replicas", &Plan::replicas, in_plan,
                "D: independent copies that share out the prompts (default 1)"},
      FlagField{"batch", &Plan::batch, in_plan,
                "prompts that are decoded together, 1 to 64: rows of a decode pass; part of the numerics "
                "(default 1)"},
      FlagField{"prefill_batch", &Plan::prefill_batch, in_plan,
                "prompts in one prefill pass, up to --batch (in score mode 1 to 64); part of the numerics "
                "(default 1)",
                Since::later},
      FlagField{"dtype", &Plan::dtype, in_numerics,
                "float64, float32, tf32, float16, bfloat16: weights and activations (default float32)"},
      FlagField{
          "quantize", &Plan::quantize, in_numerics,
          "none (default), int8, int4, nf4, fp8, fp8-block: the linears inside layers (q, k, v, o, gate, up, "
          "down, also of experts) are rounded to what the quantized matrix holds, whole, before they are "
          "sharded; embedding, head, norms, biases and routers stay. Scales: int8 and fp8 (e4m3) one a row, "
          "int4 and nf4 one for 64 columns of it, fp8-block one for 128 x 128",
          Since::later},
      FlagField{"logits_dtype", &Plan::logits_dtype, in_numerics,
                "model, or float32: the head's accumulators, not rounded"},
      FlagField{"reduction", &Plan::reduction, in_numerics,
                "how shards are summed. native: the library's all-reduce (default where S = R); by "
                "ourselves: linear 0, 1, … S-1 (default else), chain S-1 … 0, ring, tree, tree:K (the K-th "
                "binary tree, S <= 8), perm:2,0,3,1, exact (float64), profile (as --collective-profile "
                "says); as other programs' source says, not probed: halving-doubling, vllm-one-stage, "
                "vllm-two-stage, nccl-symmetric, and engine:vllm[:9.0 | :10.0 | :10.3 | :batch-invariant], "
                "which picks by message size"},
      FlagField{"partial", partial_of, in_numerics,
                "a shard's product before the sum: model, the library's; float32, its accumulators as they "
                "are (may change the product's kernel); rounded, these rounded to the model's dtype by "
                "ourselves"},
      FlagField{"accumulate", accumulator_of, in_numerics,
                "where the sum rounds: message (every add, default), or once at the end of a float32 or "
                "float64 sum"},
      FlagField{
          "collective", &Plan::collective, in_numerics,
          "whose all-reduce --reduction native is. library: NCCL's or MPI's (default); ours, over memory "
          "that "
          "the ranks of one host share, in float32, rounded once: one-shot, every rank adds 0, 1, … R-1; "
          "two-shot, each rank adds its part of the message, itself first, and the parts are gathered",
          Since::later},
      FlagField{"row_linear", &Plan::row_linear, in_numerics,
                "reduce: shards' products are summed (default); scatter: the same, as reduce-scatter and "
                "all-gather of the padded message; gather: inputs and outputs are gathered, nothing is "
                "summed"},
      FlagField{
          "expert_parallel", &Plan::expert_parallel, in_plan,
          "of a mixture of experts: deal whole experts to the shards, and sum them as shards are summed "
          "(default: every shard has its columns of every expert)",
          Since::later},
      FlagField{
          "expert_sum", &Plan::expert_sum, in_numerics,
          "of a mixture: where the sum of a row's weighted experts rounds. model: at every expert, to the "
          "model's dtype (default); float32: once",
          Since::later},
      FlagField{
          "products", &Plan::products, in_numerics,
          "whose matrix products. library (default): cuBLAS; on CPUs MKL or oneDNN, but our own of one row "
          "and, where there is no AMX, of 16-bit numbers. fixed: our own, always, whose order along K "
          "depends "
          "on K alone: a row has the same bits in a pass of 1 row and of 1000, on every CPU, and on every "
          "GPU "
          "of one compute capability (float32 and float64: on GPUs and CPUs alike)",
          Since::later},
      FlagField{
          "launch", &Plan::launch, in_numerics,
          "how decode passes go to a GPU. captured: as one CUDA graph, collectives included; eager: "
          "operation "
          "by operation; auto (default): captured, but eager on CPUs, and with a message where a pass cannot "
          "be "
          "captured: mixtures of experts, --checksums, --record hidden, a profile without captured sums",
          Since::later},
  };
}
// The row "reduction" holds four of its members; the two others have rows of their own.
static_assert(field_count<Plan>() == member_count<Plan>() + member_count<Reduction>() - 4,
              "a member of Plan or Reduction has no row above");

}  // namespace shardrift
