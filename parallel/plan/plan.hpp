// The plan: everything about a run that is numerics or placement, as one value, checked before any device is
// touched and written into every record.
//
//   rank = (replica · P + stage) · R + t        t in [0, R) is the rank's place in its tensor-parallel group
//
// S shards are the model's arithmetic; R ranks are the machine. Each rank hosts S / R consecutive shards.
#pragma once
#include <string>
#include <vector>

#include "common/dtype.hpp"
#include "common/named_enum.hpp"
#include "parallel/plan/dealing.hpp"
#include "parallel/reduction/collective.hpp"
#include "parallel/reduction/reduction.hpp"

namespace shardrift {

enum class Device { cpu, cuda };
constexpr auto names_of(Device) {
  return std::to_array<Named<Device>>({{Device::cpu, "cpu"}, {Device::cuda, "cuda"}});
}

// How the row-parallel linears (o_proj, down_proj) are put together (docs/reductions.md).
enum class RowLinear {
  reduce,   // each shard multiplies its columns of K; the partials are summed as `reduction` says
  scatter,  // the same sum as reduce-scatter + all-gather of the padded message: another library order
  gather,   // inputs are gathered, each shard multiplies its rows of the output over all of K: no sum
};
constexpr auto names_of(RowLinear) {
  return std::to_array<Named<RowLinear>>(
      {{RowLinear::reduce, "reduce"}, {RowLinear::scatter, "scatter"}, {RowLinear::gather, "gather"}});
}

// What the linears inside layers are rounded to when they are loaded, as whole matrices
// (src/weights/quantize.hpp).
enum class Quantization { none, int8, int4, nf4, fp8, fp8_block };
constexpr auto names_of(Quantization) {
  return std::to_array<Named<Quantization>>({{Quantization::none, "none"},
                                             {Quantization::int8, "int8"},
                                             {Quantization::int4, "int4"},
                                             {Quantization::nf4, "nf4"},
                                             {Quantization::fp8, "fp8"},
                                             {Quantization::fp8_block, "fp8-block"}});
}

// Whose matrix products (docs/architecture.md, "Products").
enum class Products {
  library,  // MKL, oneDNN, cuBLAS: their order along K may depend on rows, columns and processor
  fixed,    // ours, whose order along K depends on K alone
};
constexpr auto names_of(Products) {
  return std::to_array<Named<Products>>({{Products::library, "library"}, {Products::fixed, "fixed"}});
}

// How a row's experts, weighted, become one row of a shard's partial: in ascending order of their ids, …
enum class ExpertSum {
  model,    // each rounded to the partial's dtype, every add rounded (transformers)
  float32,  // in float32 (float64 of float64 partials), rounded once
};
constexpr auto names_of(ExpertSum) {
  return std::to_array<Named<ExpertSum>>({{ExpertSum::model, "model"}, {ExpertSum::float32, "float32"}});
}

// How the device is given a decode pass. Libraries may choose other kernels and collectives for one that is
// captured, so it is part of the numerics until it is seen not to be.
enum class Launch {
  eager,      // operation by operation
  captured,   // one CUDA graph, collectives included
  automatic,  // asked for only: options/launch.hpp makes it one of the two, and no record says it
};
constexpr auto names_of(Launch) {
  return std::to_array<Named<Launch>>(
      {{Launch::eager, "eager"}, {Launch::captured, "captured"}, {Launch::automatic, "auto"}});
}

struct Plan {
  int shards = 1;           // S, 1 to 64
  int tensor_parallel = 1;  // R, divides S
  int pipeline = 1;         // P
  int replicas = 1;         // D
  std::vector<int>
      stage_layers;     // [P] layers of each stage; empty: dealt evenly, the first stages get one more
  Reduction reduction;  // where row_linear is gather: Reduction(), for nothing is summed
  Collective collective = Collective::library;  // whose all-reduce a native reduction is
  RowLinear row_linear = RowLinear::reduce;
  bool expert_parallel = false;  // of a mixture, whole experts are dealt to shards, not each one's columns
  ExpertSum expert_sum = ExpertSum::model;
  Products products = Products::library;
  DType dtype = DType::float32;                // of weights and activations
  Quantization quantize = Quantization::none;  // of weights, before they are sharded
  DType logits_dtype =
      DType::float32;  // dtype's storage, or float32: the head's product before it is rounded
  int batch = 1;       // sequences in one decode pass, 1 to 64: rows of its matrix products
  int prefill_batch =
      1;  // prompts in one prefill pass, 1 to 64: their rows one after another (prompt_groups.hpp)
  Launch launch = Launch::eager;  // of decode passes
  Device device = Device::cpu;
  bool operator==(const Plan&) const = default;
};

int world_size(const Plan& plan);

// Refuses what cannot be: non-positive counts, S not a multiple of R, a reduction that cannot be
// (check_reduction) or has nothing to sum (gather), a collective of our own where the library sums or nothing
// is summed, a world of another size, more stages than layers, stage_layers that do not add up. Throws
// usage_error naming the flag and the fix. Returns the plan with stage_layers filled in.
Plan validated(Plan plan, int model_layers, int ranks);

// Where one rank stands.
struct Place {
  int replica = 0;
  int stage = 0;
  int t = 0;
  Range shards;  // hosted here
  Range layers;  // of this stage
  bool first_stage = true;
  bool last_stage = true;
  bool writes() const { return last_stage && t == 0; }
};
// plan must be validated; 0 <= rank < world_size(plan).
Place place_of(const Plan& plan, int rank);
int rank_of(const Plan& plan, int replica, int stage, int t);
// Of each replica's ranks, counted from 0 in it, the one that writes.
int writing_rank(const Plan& plan);

// "TP=2 x PP=2, 4 shards, tree:7, float32 sums, bfloat16, cuda", for people; "one device, float32, cpu".
std::string describe(const Plan& plan);

}  // namespace shardrift
