// Which rungs there are, and which a plan is.
#include <algorithm>
#include <set>

#include "analysis/explain/ladder.hpp"
#include "analysis/measure/differences.hpp"
#include "common/error.hpp"
#include "parallel/order_models/peer_order.hpp"
#include "parallel/plan/plan_json.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {
namespace {

// Products narrower than the library's accumulators.
bool rounds_products(const Plan& plan) {
  return size_of(plan.dtype) < size_of(DType::float32);
}

// As planned_rungs, where there are no routes.
std::vector<PlannedRung> rungs_of_dense(const Plan& real, bool has_profile) {
  if (real.shards < 2)
    throw usage_error("explain --run: one shard has nothing to explain: give --shards N, at least 2");
  Plan base = real;
  base.tensor_parallel = 1;
  base.pipeline = 1;
  base.replicas = 1;
  base.stage_layers.clear();
  base.row_linear = RowLinear::reduce;
  base.reduction = Reduction();
  base.collective = Collective::library;
  const bool narrow = rounds_products(base);
  const auto rounds =
      real.collective == Collective::library ? Accumulator::message : peer_accumulator(real.dtype);
  const bool in_shard_order = real.shards == 2 || real.collective == Collective::one_shot;

  std::vector<PlannedRung> rungs;
  const auto add = [&](RungKind kind, int shards, ReductionOrder order, PartialDType partial) {
    Plan plan = base;
    plan.shards = shards;
    if (shards == 1) plan.expert_parallel = false;  // no one to deal experts to
    plan.reduction.order = order;
    plan.reduction.partial = partial;
    if (order == ReductionOrder::exact) plan.reduction.accumulator = Accumulator::float64;
    if (order == ReductionOrder::linear || order == ReductionOrder::profile)
      plan.reduction.accumulator = rounds;
    rungs.push_back({kind, plan});
  };
  add(RungKind::reference, 1, ReductionOrder::native, PartialDType::model);
  if (real.row_linear == RowLinear::gather) {  // every product of every shard, and nothing to add
    add(RungKind::shards, real.shards, ReductionOrder::native, PartialDType::model);
    rungs.back().plan.row_linear = RowLinear::gather;
    return rungs;
  }
  if (narrow) add(RungKind::product, 1, ReductionOrder::native, PartialDType::rounded);
  const auto wide = narrow ? PartialDType::float32 : PartialDType::model;
  const auto rounded = narrow ? PartialDType::rounded : PartialDType::model;
  add(RungKind::shards, real.shards, ReductionOrder::exact, wide);
  if (narrow) add(RungKind::partials, real.shards, ReductionOrder::exact, rounded);
  // A float64 model's exact sum is its sum in shard order.
  if (base.dtype != DType::float64) add(RungKind::hops, real.shards, ReductionOrder::linear, rounded);
  const bool ordered = !in_shard_order && has_profile;
  const bool scatter = real.row_linear == RowLinear::scatter;
  const auto in_order = [&](RungKind kind, PartialDType partial) {
    add(kind, real.shards, in_shard_order ? ReductionOrder::linear : ReductionOrder::profile, partial);
    if (scatter && real.shards > 2)
      rungs.back().plan.row_linear = RowLinear::scatter;  // that collective's order
  };
  if (ordered && narrow) in_order(RungKind::order, PartialDType::rounded);
  if ((ordered || in_shard_order) && (narrow || ordered)) in_order(RungKind::prediction, PartialDType::model);
  return rungs;
}

RungKind local_rung(bool profile, bool library_products) {
  if (library_products) return RungKind::prediction;
  return profile ? RungKind::order : RungKind::hops;
}

}  // namespace

std::string_view changes(RungKind kind) {
  switch (kind) {
    case RungKind::reference:
      return "one device, one shard";
    case RungKind::product:
      return "row-parallel products in float32, rounded by us (kernel)";
    case RungKind::shards:
      return "cut into shards, added exactly (shape)";
    case RungKind::partials:
      return "each shard's product rounded before the sum";
    case RungKind::hops:
      return "rounded at every add, in shard order";
    case RungKind::order:
      return "the collective's own order";
    case RungKind::prediction:
      return "products as the library rounds them (kernel)";
    case RungKind::routes:
      return "each token to the experts of its own router, not the reference's";
    case RungKind::real:
      return "several devices";
  }
  return "";
}

std::optional<RungKind> rung_of(const Plan& plan) {
  const auto& [order, tree, permutation, engine, partial, accumulator] = plan.reduction;
  const bool narrow = rounds_products(plan);
  if (plan.shards == 1)
    return partial == PartialDType::model || !narrow ? RungKind::reference : RungKind::product;
  if (plan.row_linear == RowLinear::gather)
    return plan.tensor_parallel == 1 ? RungKind::shards : RungKind::real;
  if (order == ReductionOrder::native) return RungKind::real;
  if (order == ReductionOrder::exact) {
    if (!narrow || partial == PartialDType::float32) return RungKind::shards;
    return partial == PartialDType::rounded ? std::optional(RungKind::partials) : std::nullopt;
  }
  const bool in_float32 = narrow && accumulator == Accumulator::float32;  // as our own all-reduces add
  if ((accumulator != Accumulator::message && !in_float32) || partial == PartialDType::float32)
    return std::nullopt;
  const bool profile = order == ReductionOrder::profile;
  const bool library = partial == PartialDType::model;
  // In float32 a product is what the library makes of it: the real order is the prediction. Two shards have
  // one order, and one-shot adds in shard order.
  if (!narrow) {
    if (profile) return RungKind::prediction;
    return order == ReductionOrder::linear ? std::optional(RungKind::hops) : std::nullopt;
  }
  if (!profile && order != ReductionOrder::linear) return std::nullopt;
  if (library && !profile && plan.shards > 2 && !in_float32) return std::nullopt;
  return local_rung(profile, library);
}

std::vector<PlannedRung> planned_rungs(const Plan& real, bool has_profile, bool mixture) {
  auto rungs = rungs_of_dense(real, has_profile);
  if (!mixture) return rungs;
  for (std::size_t i = 1; i < rungs.size(); ++i) rungs[i].replays_routes = true;
  rungs.push_back({RungKind::routes, rungs.back().plan, false});
  return rungs;
}

std::vector<RungFile> recognised(const std::vector<std::filesystem::path>& paths) {
  std::vector<RungFile> files;
  std::set<RungKind> replayed;  // kinds with a file that replays routes
  std::vector<bool> replays;
  for (const auto& path : paths) {
    const auto reader = record::Reader::open(path);
    if (shards_of(reader.run()) == 0)
      throw usage_error(
          "{}: is another engine's record, whose plan is no rung of the ladder: leave it out, or name all "
          "rungs "
          "yourself in their order, --rung NAME={}",
          path.string(), path.string());
    const Plan plan = plan_from_json(reader.run().plan);
    const auto kind = rung_of(plan);
    if (!kind)
      throw usage_error("{}: '{}' is no rung of the ladder: name it yourself, --rung NAME={}", path.string(),
                        describe(plan), path.string());
    replays.push_back(replays_routes(reader.run()));
    if (replays.back()) replayed.insert(*kind);
    files.push_back({std::string(), kind, path});
  }
  std::set<RungKind> seen;
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto& [name, kind, path] = files[i];
    if (!replays[i] && replayed.contains(*kind)) kind = RungKind::routes;
    name = name_of(*kind);
    if (!seen.insert(*kind).second)
      throw usage_error("{}: is the second '{}' among the files: leave one out, or name them, --rung NAME={}",
                        path.string(), name, path.string());
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return *a.kind < *b.kind; });
  return files;
}

}  // namespace shardrift::analysis
