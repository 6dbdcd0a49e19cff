#include "parallel/reduction/reduction.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift {
namespace {

constexpr std::string_view kTree = "tree:";
constexpr std::string_view kPermutation = "perm:";
constexpr std::string_view kEngine = "engine:";

constexpr std::array<std::pair<ReductionOrder, std::string_view>, 11> kNames{
    {{ReductionOrder::native, "native"},
     {ReductionOrder::profile, "profile"},
     {ReductionOrder::linear, "linear"},
     {ReductionOrder::chain, "chain"},
     {ReductionOrder::ring, "ring"},
     {ReductionOrder::tree, "tree"},
     {ReductionOrder::exact, "exact"},
     {ReductionOrder::halving_doubling, "halving-doubling"},
     {ReductionOrder::vllm_one_stage, "vllm-one-stage"},
     {ReductionOrder::vllm_two_stage, "vllm-two-stage"},
     {ReductionOrder::nccl_symmetric, "nccl-symmetric"}}};

// The version may be left out: there is one of each.
Engine engine_from(std::string_view text) {
  for (const auto& [engine, name] : names_of(Engine())) {
    const auto version = name.find('-');
    const auto rest = std::min(name.find(':'), name.size());
    const auto bare = std::string(name.substr(0, version)) + std::string(name.substr(rest));
    if (text == name || text == bare) return engine;
  }
  return named<Engine>("--reduction engine:", text);  // refuses
}

std::vector<int> permutation_from(std::string_view text) {
  std::vector<int> order;
  for (std::string_view rest = text;;) {
    const auto comma = rest.find(',');
    const auto shard = number_from<int>(rest.substr(0, comma));
    if (!shard)
      throw usage_error("--reduction perm:{}: '{}' is not a shard, write perm:2,0,3,1", text,
                        rest.substr(0, comma));
    order.push_back(*shard);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  left_to_right(order);  // refuses what is no permutation
  return order;
}

// The tree of a uniform order.
SumTree tree_of(const Reduction& reduction, int shards) {
  switch (reduction.order) {
    case ReductionOrder::linear:
    case ReductionOrder::exact:
      return linear_tree(shards);
    case ReductionOrder::chain:
      return chain_tree(shards);
    case ReductionOrder::tree:
      return balanced_tree(shards);
    case ReductionOrder::tree_index:
      return tree_by_index(shards, reduction.tree);
    case ReductionOrder::permutation:
      return left_to_right(reduction.permutation);
    case ReductionOrder::native:
    case ReductionOrder::profile:
    case ReductionOrder::ring:
    case ReductionOrder::halving_doubling:
    case ReductionOrder::vllm_one_stage:
    case ReductionOrder::vllm_two_stage:
    case ReductionOrder::nccl_symmetric:
    case ReductionOrder::engine:
      break;
  }
  throw failure("--reduction {} has no order of its own: this is a bug", order_text(reduction));
}

void check_native(const Reduction& reduction, int shards, int ranks) {
  if (shards != ranks)
    throw usage_error(
        "--reduction native needs one shard a rank, but --shards is {} and --tensor-parallel {}: "
        "use --reduction linear",
        shards, ranks);
  if (reduction.accumulator != Accumulator::message)
    throw usage_error(
        "--accumulate {} needs a local fold, --reduction native adds in the message's dtype: use --reduction "
        "linear",
        name_of(reduction.accumulator));
  if (reduction.partial == PartialDType::float32)
    throw usage_error(
        "--partial {} needs a local fold, --reduction native sends the model's dtype: use --reduction linear",
        name_of(reduction.partial));
}

void check_published(const Reduction& reduction, DType model) {
  if (reduction.partial == PartialDType::float32)
    throw usage_error(
        "--partial float32: the all-reduce of --reduction {} is sent the model's dtype, use --reduction "
        "linear",
        order_text(reduction));
  if (model == DType::float64 && own_accumulator(reduction.order))
    throw usage_error(
        "--reduction {} sums float32, float16 and bfloat16, not float64: use --reduction linear",
        order_text(reduction));
}

}  // namespace

std::optional<Accumulator> own_accumulator(ReductionOrder order) {
  switch (order) {
    case ReductionOrder::exact:
      return Accumulator::float64;
    case ReductionOrder::vllm_one_stage:
    case ReductionOrder::vllm_two_stage:
    case ReductionOrder::nccl_symmetric:
    case ReductionOrder::engine:
      return Accumulator::float32;
    default:
      return std::nullopt;
  }
}

std::string order_text(const Reduction& reduction) {
  for (const auto& [order, name] : kNames)
    if (order == reduction.order) return std::string(name);
  if (reduction.order == ReductionOrder::tree_index) return fmt::format("{}{}", kTree, reduction.tree);
  if (reduction.order == ReductionOrder::engine)
    return fmt::format("{}{}", kEngine, name_of(reduction.engine));
  return fmt::format("{}{}", kPermutation, fmt::join(reduction.permutation, ","));
}

Reduction reduction_from_text(std::string_view text) {
  Reduction reduction;
  for (const auto& [order, name] : kNames) {
    if (text != name) continue;
    reduction.order = order;
    reduction.accumulator = own_accumulator(order).value_or(Accumulator::message);
    return reduction;
  }
  if (text.starts_with(kEngine)) {
    reduction.order = ReductionOrder::engine;
    reduction.engine = engine_from(text.substr(kEngine.size()));
    reduction.accumulator = *own_accumulator(reduction.order);
    return reduction;
  }
  if (text.starts_with(kPermutation)) {
    reduction.order = ReductionOrder::permutation;
    reduction.permutation = permutation_from(text.substr(kPermutation.size()));
    return reduction;
  }
  if (text.starts_with(kTree)) {
    const auto index = number_from<std::int64_t>(text.substr(kTree.size()));
    if (!index || *index < 0)
      throw usage_error("--reduction {}: '{}' does not number a tree, write tree:7", text,
                        text.substr(kTree.size()));
    reduction.order = ReductionOrder::tree_index;
    reduction.tree = *index;
    return reduction;
  }
  throw usage_error(
      "unknown --reduction '{}': use native, profile, linear, chain, ring, tree, tree:K, perm:2,0,3,1, "
      "exact, halving-doubling, vllm-one-stage, vllm-two-stage, nccl-symmetric or engine:vllm",
      text);
}

DType partial_dtype(const Reduction& reduction, DType model) {
  if (storage_of(model) == DType::float32) return model;  // tf32's partials are float32 already
  return reduction.partial == PartialDType::float32 ? DType::float32 : model;
}

void check_reduction(const Reduction& reduction, int shards, int ranks, DType model) {
  if (reduction.order == ReductionOrder::native) check_native(reduction, shards, ranks);
  if (const auto own = own_accumulator(reduction.order); own && *own != reduction.accumulator)
    throw usage_error("--accumulate {}: --reduction {} adds in {}, use --reduction linear",
                      name_of(reduction.accumulator), order_text(reduction), name_of(*own));
  if (reduction.is_published()) check_published(reduction, model);
  if (reduction.order == ReductionOrder::tree_index) tree_by_index(shards, reduction.tree);
  if (reduction.order == ReductionOrder::permutation) {
    if (static_cast<int>(reduction.permutation.size()) != shards)
      throw usage_error("--reduction {} orders {} shards, --shards is {}: name each of 0 to {} once",
                        order_text(reduction), reduction.permutation.size(), shards, shards - 1);
    left_to_right(reduction.permutation);
  }
  if (model == DType::float64 && reduction.partial == PartialDType::float32)
    throw usage_error("--partial float32 would narrow a float64 run's partials: use --partial model");
  if (model == DType::float64 && reduction.accumulator == Accumulator::float32)
    throw usage_error("--accumulate float32 would narrow a float64 run's sums: use message or float64");
}

OrderMap local_order_map(const Reduction& reduction, int shards, std::int64_t count) {
  if (reduction.order != ReductionOrder::ring) return uniform_map(tree_of(reduction, shards), count);
  OrderMapBuilder builder(count);
  for (int chunk = 0; chunk < shards; ++chunk)
    builder.append(count / shards + (chunk < count % shards ? 1 : 0), ring_tree(shards, chunk));
  return builder.finish();
}

std::int64_t padded_count(std::int64_t count, DType dtype, int ranks) {
  const auto grain = std::int64_t{16} / static_cast<std::int64_t>(size_of(dtype)) * ranks;
  return (count + grain - 1) / grain * grain;
}

}  // namespace shardrift
