#include "parallel/plan/plan.hpp"

#include <fmt/ranges.h>

#include <numeric>

#include "common/error.hpp"
#include "parallel/order_models/fold_order.hpp"

namespace shardrift {
namespace {

constexpr int kMaxShards = 64;
constexpr int kMaxBatch = 64;

void require_positive(std::string_view flag, int value) {
  if (value < 1) throw usage_error("{} {}: must be at least 1", flag, value);
}

void check_counts(const Plan& plan) {
  // First, because the shards are as many where no --shards is given.
  require_positive("--tensor-parallel", plan.tensor_parallel);
  if (plan.tensor_parallel > kMaxShards)
    throw usage_error("--tensor-parallel {}: at most {}", plan.tensor_parallel, kMaxShards);
  require_positive("--shards", plan.shards);
  require_positive("--pipeline", plan.pipeline);
  require_positive("--replicas", plan.replicas);
  for (const int n : {plan.pipeline, plan.replicas})
    if (n > 4096) throw usage_error("{} ranks in one direction: this is for 1 to 4 devices", n);
  for (const auto& [flag, prompts] :
       {std::pair{"--batch", plan.batch}, {"--prefill-batch", plan.prefill_batch}})
    if (prompts < 1 || prompts > kMaxBatch) throw usage_error("{} {}: use 1 to {}", flag, prompts, kMaxBatch);
  if (plan.shards > kMaxShards) throw usage_error("--shards {}: at most {}", plan.shards, kMaxShards);
  if (plan.shards % plan.tensor_parallel != 0)
    throw usage_error(
        "--shards {} is not a multiple of --tensor-parallel {}: every rank hosts as many shards", plan.shards,
        plan.tensor_parallel);
}

// Where another sum is asked for, or none.
void check_collective(const Plan& plan) {
  if (plan.collective == Collective::library) return;
  const auto refuse = [&](const std::string& why) {
    return usage_error("--collective {} with {}", name_of(plan.collective), why);
  };
  if (plan.row_linear != RowLinear::reduce)
    throw refuse(
        fmt::format("--row-linear {}: there is no all-reduce then; leave one out", name_of(plan.row_linear)));
  if (plan.tensor_parallel == 1)
    throw refuse(
        "--tensor-parallel 1: nothing is summed between ranks; leave it out, or predict it on one device "
        "with "
        "--reduction profile");
  if (plan.reduction.is_local_fold())
    throw refuse(fmt::format("--reduction {}: that is a local fold and no collective; leave one out",
                             order_text(plan.reduction)));
}

void check_numerics(const Plan& plan) {
  if (plan.row_linear != RowLinear::gather) {
    check_reduction(plan.reduction, plan.shards, plan.tensor_parallel, plan.dtype);
    check_published_shards(plan.reduction, plan.shards);
  } else if (plan.reduction != Reduction()) {
    throw usage_error(
        "--row-linear gather sums nothing across shards: leave out --reduction, --accumulate and --partial "
        "(given: {}, {}, {}), or use --row-linear reduce",
        order_text(plan.reduction), name_of(plan.reduction.accumulator), name_of(plan.reduction.partial));
  }
  check_collective(plan);
  if (plan.expert_parallel && plan.shards == 1)
    throw usage_error(
        "--expert-parallel with one shard: there is nothing to deal experts to; give --tensor-parallel or "
        "--shards");
  if (plan.expert_parallel && plan.row_linear == RowLinear::gather)
    throw usage_error(
        "--expert-parallel with --row-linear gather: dealt experts are summed, gather sums nothing; leave "
        "one "
        "out");
  if (plan.products == Products::fixed && plan.dtype == DType::tf32)
    throw usage_error(
        "--products fixed with --dtype tf32: the kernels of fixed order multiply float32 in float32; use "
        "--products library, or --dtype float32");
  if (plan.dtype == DType::tf32 && plan.device == Device::cpu)
    throw usage_error("--dtype tf32 needs --device cuda: CPUs multiply float32 in float32");
  if (plan.launch == Launch::captured && plan.device == Device::cpu)
    throw usage_error("--launch captured needs --device cuda: CPUs have no graphs; leave it out");
  if (plan.logits_dtype != storage_of(plan.dtype) && plan.logits_dtype != DType::float32)
    throw usage_error("--logits-dtype {}: use model or float32", name_of(plan.logits_dtype));
  if (plan.dtype == DType::float64 && plan.logits_dtype != DType::float64)
    throw usage_error("--logits-dtype float32 would narrow a float64 run's logits: use model");
}

std::vector<int> resolved_stages(const Plan& plan, int layers) {
  std::vector<int> stages = plan.stage_layers;
  if (stages.empty())
    for (int p = 0; p < plan.pipeline; ++p)
      stages.push_back(static_cast<int>(deal(layers, plan.pipeline, p).size()));
  if (static_cast<int>(stages.size()) != plan.pipeline)
    throw usage_error("--stage-layers {} names {} stages, --pipeline {}", fmt::join(stages, ","),
                      stages.size(), plan.pipeline);
  if (plan.pipeline > layers)
    throw usage_error("--pipeline {}: the model has {} layers, a stage needs at least one", plan.pipeline,
                      layers);
  for (const int n : stages)
    if (n < 1)
      throw usage_error("--stage-layers {}: a stage needs at least one layer", fmt::join(stages, ","));
  const long long sum = std::accumulate(stages.begin(), stages.end(), 0LL);
  if (sum != layers)
    throw usage_error("--stage-layers {} adds up to {}, the model has {} layers", fmt::join(stages, ","), sum,
                      layers);
  return stages;
}

}  // namespace

int world_size(const Plan& plan) {
  return plan.replicas * plan.pipeline * plan.tensor_parallel;
}

Plan validated(Plan plan, int model_layers, int ranks) {
  check_counts(plan);
  check_numerics(plan);
  plan.stage_layers = resolved_stages(plan, model_layers);
  const long long wanted = 1LL * plan.replicas * plan.pipeline * plan.tensor_parallel;
  if (wanted != ranks)
    throw usage_error(
        "the plan needs {} rank{} (tensor-parallel {} x pipeline {} x replicas {}), but {} {} started: "
        "use mpirun -np {} or srun -n {}",
        wanted, wanted == 1 ? "" : "s", plan.tensor_parallel, plan.pipeline, plan.replicas, ranks,
        ranks == 1 ? "was" : "were", wanted, wanted);
  return plan;
}

Place place_of(const Plan& plan, int rank) {
  Place place;
  place.t = rank % plan.tensor_parallel;
  place.stage = rank / plan.tensor_parallel % plan.pipeline;
  place.replica = rank / plan.tensor_parallel / plan.pipeline;
  const int hosted = plan.shards / plan.tensor_parallel;
  place.shards = {1LL * place.t * hosted, 1LL * (place.t + 1) * hosted};
  const auto stage = plan.stage_layers.begin() + place.stage;
  place.layers.begin = std::accumulate(plan.stage_layers.begin(), stage, 0LL);
  place.layers.end = place.layers.begin + *stage;
  place.first_stage = place.stage == 0;
  place.last_stage = place.stage == plan.pipeline - 1;
  return place;
}

int writing_rank(const Plan& plan) {
  return rank_of(plan, 0, plan.pipeline - 1, 0);
}

int rank_of(const Plan& plan, int replica, int stage, int t) {
  return (replica * plan.pipeline + stage) * plan.tensor_parallel + t;
}

std::string describe(const Plan& plan) {
  std::vector<std::string> parts;
  if (plan.tensor_parallel > 1) parts.push_back(fmt::format("TP={}", plan.tensor_parallel));
  if (plan.pipeline > 1) parts.push_back(fmt::format("PP={}", plan.pipeline));
  if (plan.replicas > 1) parts.push_back(fmt::format("{} replicas", plan.replicas));
  std::string text = parts.empty() ? "one device" : fmt::format("{}", fmt::join(parts, " x "));
  if (plan.shards != plan.tensor_parallel) text += fmt::format(", {} shards", plan.shards);
  const bool sums = plan.row_linear != RowLinear::gather;
  const bool ours = plan.collective != Collective::library;
  if (plan.shards > 1 && sums)
    text += fmt::format(", {}", ours ? std::string(name_of(plan.collective)) : order_text(plan.reduction));
  if (plan.row_linear != RowLinear::reduce) text += fmt::format(", row-linear {}", name_of(plan.row_linear));
  if (plan.expert_parallel) text += ", expert-parallel";
  if (plan.expert_sum != ExpertSum::model) text += fmt::format(", {} expert sums", name_of(plan.expert_sum));
  if (plan.products != Products::library) text += fmt::format(", {} products", name_of(plan.products));
  if (plan.reduction.partial != PartialDType::model)
    text += fmt::format(", {} partials", name_of(plan.reduction.partial));
  const bool says_sums = own_accumulator(plan.reduction.order).has_value();
  if (plan.reduction.accumulator != Accumulator::message && !says_sums)
    text += fmt::format(", {} sums", name_of(plan.reduction.accumulator));
  if (plan.batch > 1) text += fmt::format(", batch {}", plan.batch);
  if (plan.prefill_batch > 1) text += fmt::format(", prefill-batch {}", plan.prefill_batch);
  text += fmt::format(", {}", name_of(plan.dtype));
  if (plan.quantize != Quantization::none) text += fmt::format(", {} weights", name_of(plan.quantize));
  if (plan.launch == Launch::captured) text += fmt::format(", {}", name_of(plan.launch));
  return text + fmt::format(", {}", name_of(plan.device));
}

}  // namespace shardrift
