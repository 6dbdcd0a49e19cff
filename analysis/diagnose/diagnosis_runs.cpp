#include "analysis/diagnose/diagnosis_runs.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "analysis/explain/ladder.hpp"

namespace shardrift::analysis {
namespace {

bool is_narrow(DType dtype) {
  return size_of(dtype) < size_of(DType::float32);
}

// The same arithmetic without ranks, stages and replicas.
Plan on_one_device(Plan plan, bool has_profile) {
  plan.launch = Launch::eager;
  if (rung_of(plan) == RungKind::real) return planned_rungs(plan, has_profile).back().plan;
  plan.tensor_parallel = 1;
  plan.pipeline = 1;
  plan.replicas = 1;
  plan.stage_layers.clear();
  if (plan.reduction.needs_profile() && !has_profile) plan.reduction.order = ReductionOrder::linear;
  if (plan.reduction.order == ReductionOrder::native && plan.shards > 1 &&
      plan.row_linear != RowLinear::gather)
    plan.reduction.order = ReductionOrder::linear;
  return plan;
}

Plan in_shards(Plan plan, int shards) {
  plan.shards = shards;
  plan.expert_parallel = false;
  plan.row_linear = RowLinear::reduce;
  plan.reduction = Reduction();
  plan.reduction.order = ReductionOrder::linear;
  return plan;
}

// The same shards, added otherwise; of one shard its row-parallel products rounded by another kernel.
Plan in_other_order(Plan plan) {
  if (plan.row_linear == RowLinear::gather || plan.shards == 1) {
    plan.row_linear = RowLinear::reduce;
    plan.reduction = Reduction();
    if (plan.shards > 1) plan.reduction.order = ReductionOrder::linear;
    plan.reduction.partial = is_narrow(plan.dtype) ? PartialDType::rounded : PartialDType::model;
    return plan;
  }
  const bool exact = plan.reduction.order == ReductionOrder::exact;
  plan.row_linear = RowLinear::reduce;
  plan.reduction = Reduction();
  plan.reduction.order = exact ? ReductionOrder::chain : ReductionOrder::exact;
  if (!exact) {
    plan.reduction.accumulator = Accumulator::float64;
    plan.reduction.partial = is_narrow(plan.dtype) ? PartialDType::float32 : PartialDType::model;
  }
  return plan;
}

}  // namespace

std::optional<Device> ran_on(const record::Environment& environment) {
  const auto& devices = environment.devices;
  const auto gpus = std::count_if(devices.begin(), devices.end(),
                                  [](const auto& device) { return !device.compute_capability.empty(); });
  if (devices.empty() || (gpus != 0 && gpus != std::ssize(devices))) return std::nullopt;
  return gpus == 0 ? Device::cpu : Device::cuda;
}

bool wants_profile(const Plan& candidate) {
  Plan plan = candidate;
  plan.launch = Launch::eager;
  return on_one_device(plan, true).reduction.needs_profile();
}

std::vector<DiagnosisRun> diagnosis_runs(const Plan& reference, const Plan& candidate, bool has_profile) {
  std::vector<DiagnosisRun> runs;
  const auto add = [&](RunRole role, std::string name, const Plan& plan) {
    if (std::none_of(runs.begin(), runs.end(), [&](const auto& run) { return run.plan == plan; }))
      runs.push_back({role, std::move(name), plan});
  };
  const Plan of_candidate = on_one_device(candidate, has_profile);
  add(RunRole::candidate, "candidate", of_candidate);
  // Of the reference the order alone counts: what another dtype or quantization changes is not judged here.
  Plan of_reference = reference;
  if (of_reference.row_linear != RowLinear::gather && rung_of(of_reference) == RungKind::real &&
      reference.shards > 2)
    of_reference = in_shards(on_one_device(reference, true), reference.shards);
  of_reference = on_one_device(of_reference, false);
  of_reference.dtype = of_candidate.dtype;
  of_reference.logits_dtype = of_candidate.logits_dtype;
  of_reference.quantize = of_candidate.quantize;
  of_reference.device = of_candidate.device;
  if (of_candidate.dtype == DType::tf32) of_reference.products = Products::library;
  if (of_candidate.dtype == DType::float64 && of_reference.reduction.accumulator == Accumulator::float32)
    of_reference.reduction.accumulator = Accumulator::message;
  add(RunRole::reference, "reference", of_reference);
  int added = 0;
  for (const int shards : {2, 3, 4, 5}) {
    if (shards == of_candidate.shards || shards == of_reference.shards || added == 2) continue;
    add(RunRole::shards, fmt::format("shards-{}", shards), in_shards(of_candidate, shards));
    ++added;
  }
  add(RunRole::order, "order", in_other_order(of_candidate));
  if (of_candidate.dtype != DType::tf32) {
    Plan plan = of_candidate;
    plan.products = plan.products == Products::library ? Products::fixed : Products::library;
    add(RunRole::products, "products", plan);
  }
  return runs;
}

}  // namespace shardrift::analysis
