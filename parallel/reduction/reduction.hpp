// A reduction is a value: how S partials become one tensor (docs/reductions.md).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/dtype.hpp"
#include "common/named_enum.hpp"
#include "parallel/reduction/order_map.hpp"

namespace shardrift {

// Which expression tree over the shards. Only the transport knows native's; every other is a local fold.
enum class ReductionOrder {
  native,       // the transport's own all-reduce (ncclAllReduce, MPI_Allreduce); needs one shard a rank
  profile,      // the order map of a collective profile, element by element
  linear,       // ((0 + 1) + 2) + … + (S-1)
  chain,        // ((S-1 + S-2) + …) + 0: NCCL's Tree on one node
  ring,         // by chunks of the message, chunk c: ((c+1) + (c+2) + …) + c, indices modulo S
  tree,         // balanced binary tree
  tree_index,   // tree:K, the K-th of all binary trees (sum_tree.cpp numbers them)
  permutation,  // perm:2,0,3,1, left to right
  exact,        // linear in float64, one rounding
  // Of other programs' all-reduces, as their published source adds (parallel/order_models):
  halving_doubling,  // recursive halving and doubling
  vllm_one_stage,    // vLLM's custom all-reduce, of one stage
  vllm_two_stage,    // and of two
  nccl_symmetric,    // NCCL's kernels for symmetric memory
  engine,            // by message size, whichever of these a serving engine calls
};

// Whose choice by message size, and of which version (parallel/order_models/engine_order.hpp).
enum class Engine { vllm, vllm_sm90, vllm_sm100, vllm_sm103, vllm_batch_invariant };
constexpr auto names_of(Engine) {
  return std::to_array<Named<Engine>>({{Engine::vllm, "vllm-0.33.0"},
                                       {Engine::vllm_sm90, "vllm-0.33.0:9.0"},
                                       {Engine::vllm_sm100, "vllm-0.33.0:10.0"},
                                       {Engine::vllm_sm103, "vllm-0.33.0:10.3"},
                                       {Engine::vllm_batch_invariant, "vllm-0.33.0:batch-invariant"}});
}

// Where a sum rounds. message: to the partial's dtype after every add, as a collective's hops do. The others
// add in that type and round once, to the model's dtype, at the end.
enum class Accumulator { message, float32, float64 };
constexpr auto names_of(Accumulator) {
  return std::to_array<Named<Accumulator>>({{Accumulator::message, "message"},
                                            {Accumulator::float32, "float32"},
                                            {Accumulator::float64, "float64"}});
}

// What a shard's product is stored as before it is summed. float32: the matrix product's accumulators as they
// are. For a 16-bit model that asks the library for another output dtype, which may choose another kernel:
// two things change, rounding and kernel (docs/reductions.md). rounded: these accumulators, rounded to the
// model's dtype by ourselves: what lies between the two others, so that one thing changes at a time.
enum class PartialDType { model, rounded, float32 };
constexpr auto names_of(PartialDType) {
  return std::to_array<Named<PartialDType>>({{PartialDType::model, "model"},
                                             {PartialDType::rounded, "rounded"},
                                             {PartialDType::float32, "float32"}});
}

struct Reduction {
  ReductionOrder order = ReductionOrder::native;
  std::int64_t tree = 0;         // K of tree_index, else 0
  std::vector<int> permutation;  // of permutation, else empty
  Engine engine = Engine::vllm;  // of engine, else the first
  PartialDType partial = PartialDType::model;
  Accumulator accumulator = Accumulator::message;
  bool operator==(const Reduction&) const = default;

  bool needs_profile() const { return order == ReductionOrder::profile; }  // whoever runs it brings one
  bool is_local_fold() const { return order != ReductionOrder::native; }   // else the transport adds
  bool is_published() const { return order >= ReductionOrder::halving_doubling; }  // order_models knows it
  // What one device folds so is what ranks of their own would have summed.
  bool predicts() const { return needs_profile() || is_published(); }
};

// Where the sum of an order rounds that says so itself; nullopt: --accumulate says.
std::optional<Accumulator> own_accumulator(ReductionOrder order);

// The order as the flag spells it: "native", "tree:7", "perm:2,0,3,1".
std::string order_text(const Reduction& reduction);
// The reverse; usage_error on other text. Accumulator: float64 for exact, float32 for the published sums that
// add in it, else message; partial: model. An engine's version may be left out: "engine:vllm:9.0".
Reduction reduction_from_text(std::string_view order);

// The element type of a partial in a model of this dtype.
DType partial_dtype(const Reduction& reduction, DType model);

// Refuses, with a usage_error that names flag, value and fix, what cannot be summed so: native without one
// shard a rank or with another dtype than the message's, tree:K out of range, a permutation of another shard
// count, exact or a published sum in another accumulator, float64 narrowed. Whether a profile is there is for
// whoever opens it; which ranks a published sum takes, for order_models/fold_order.hpp.
void check_reduction(const Reduction& reduction, int shards, int ranks, DType model);

// The order map of a message of count elements, for every order that needs neither a transport nor a profile
// nor a model of another program (those throw failure; fold_order_map in order_models knows the models, too).
// ring cuts the message into S chunks as equal as they can be: where S does not divide count, the first count
// mod S chunks hold one element more (the rule of every deal here; live libraries cut otherwise, for them
// there is profile).
//
// Where the message is scattered (padded_count), local folds stay those of the message without its pads.
OrderMap local_order_map(const Reduction& reduction, int shards, std::int64_t count);

// The elements of a message that is summed by reduce-scatter and all-gather: padded to equal parts, one a
// rank, each a multiple of 16 bytes.
std::int64_t padded_count(std::int64_t count, DType dtype, int ranks);

}  // namespace shardrift
