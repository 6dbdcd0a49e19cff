#include "parallel/reduction/reduction.hpp"

#include <fmt/ranges.h>

#include <array>
#include <utility>

#include "common/error.hpp"
#include "common/text.hpp"

namespace shardrift {
namespace {

constexpr std::string_view kTree = "tree:";
constexpr std::string_view kPermutation = "perm:";

constexpr std::array<std::pair<ReductionOrder, std::string_view>, 7> kNames{
    {{ReductionOrder::native, "native"},
     {ReductionOrder::profile, "profile"},
     {ReductionOrder::linear, "linear"},
     {ReductionOrder::chain, "chain"},
     {ReductionOrder::ring, "ring"},
     {ReductionOrder::tree, "tree"},
     {ReductionOrder::exact, "exact"}}};

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

}  // namespace

std::string order_text(const Reduction& reduction) {
  for (const auto& [order, name] : kNames)
    if (order == reduction.order) return std::string(name);
  if (reduction.order == ReductionOrder::tree_index) return fmt::format("{}{}", kTree, reduction.tree);
  return fmt::format("{}{}", kPermutation, fmt::join(reduction.permutation, ","));
}

Reduction reduction_from_text(std::string_view text) {
  Reduction reduction;
  for (const auto& [order, name] : kNames) {
    if (text != name) continue;
    reduction.order = order;
    if (order == ReductionOrder::exact) reduction.accumulator = Accumulator::float64;
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
      "unknown --reduction '{}': use native, profile, linear, chain, ring, tree, tree:K, perm:2,0,3,1 or "
      "exact",
      text);
}

DType partial_dtype(const Reduction& reduction, DType model) {
  if (storage_of(model) == DType::float32) return model;  // tf32's partials are float32 already
  return reduction.partial == PartialDType::float32 ? DType::float32 : model;
}

void check_reduction(const Reduction& reduction, int shards, int ranks, DType model) {
  if (reduction.order == ReductionOrder::native) check_native(reduction, shards, ranks);
  if (reduction.order == ReductionOrder::exact && reduction.accumulator != Accumulator::float64)
    throw usage_error("--accumulate {}: --reduction exact adds in float64, use --reduction linear",
                      name_of(reduction.accumulator));
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
