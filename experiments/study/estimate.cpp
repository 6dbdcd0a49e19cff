#include "experiments/study/estimate.hpp"

#include <algorithm>

#include "record/operations.hpp"
#include "weights/device_memory.hpp"

namespace shardrift::study {
// GPU: H200, docs/results/first-comparison.md (7B: 2.4 TB/s of weights in decode; SmolLM2, bound by launches:
// 450 tokens/s over 30 layers). CPU: 2-core Xeon, docs/results/scale-out-time.md (SmolLM2 in bfloat16, batch
// 1 to 12, 1 and 4 shards, within a tenth).
Rates stated_rates(const Machine& machine, DType dtype) {
  if (machine.device == "cuda") return {2.0e12, 2.0e14, 70e-6, 2e-9, 8, 2e9};
  const double words = 3.2e9;  // weights a second
  return {words * static_cast<double>(size_of(dtype)), 4e10, 4e-4, 4e-9, 1.5, 5e8};
}

Estimate estimate(const RunOptions& options, const ModelConfig& config, const Work& work,
                  const Machine& machine) {
  const Plan& plan = options.plan;
  const auto rates = stated_rates(machine, plan.dtype);
  const auto element = static_cast<std::int64_t>(size_of(plan.dtype));
  const auto weights = parameter_count(config) * element;
  const bool score = options.mode == Mode::score;
  const auto rows = score ? work.prompt_tokens : work.new_tokens;
  Estimate result;

  // Disk: the logits, the top list, and the fixed columns of a row; the vocabulary and group structure once.
  const auto word = static_cast<std::int64_t>(size_of(plan.logits_dtype));
  const auto per_row =
      (options.level == RecordLevel::top ? 0 : config.vocabulary * word) + options.top_k * 8LL + 40;
  const auto traces =
      (options.level == RecordLevel::hidden ? (config.layers + 1) * config.hidden * element : 0) +
      (options.checksums ? record::point_count(config.layers) * 8 : 0);
  result.disk_bytes = rows * (per_row + traces) + work.prompts * 16384 + config.vocabulary * 24 + (1 << 20);

  const auto longest = work.longest + (score ? 0 : options.max_new_tokens);
  result.memory_bytes =
      fullest_device(config, plan,
                     capacity_of(plan, config, !score, work.lengths, longest, options.in_flight))
          .total();

  // Time. On a CPU the ranks share the cores, so that more ranks are not faster; GPUs divide the weights.
  const double devices = machine.device == "cuda" ? plan.tensor_parallel : 1;
  const double hosted = static_cast<double>(plan.shards) / plan.tensor_parallel;
  const double launches = static_cast<double>(config.layers) * hosted * rates.seconds_per_shard_layer;
  const double passes = score ? 0 : static_cast<double>(rows) / (plan.batch * plan.replicas);
  const double products =
      2.0 * static_cast<double>(parameter_count(config)) / devices / rates.flops_per_second;
  const double decode = passes * (launches + products * plan.batch +
                                  static_cast<double>(weights) / devices / rates.weight_bytes_per_second);
  const double prefill = static_cast<double>(work.prompts) / plan.prefill_batch * launches +
                         products * static_cast<double>(work.prompt_tokens);
  const double recording =
      static_cast<double>(rows) * static_cast<double>(config.vocabulary) * rates.seconds_per_row;
  result.seconds = rates.start_seconds + static_cast<double>(weights) / rates.load_bytes_per_second +
                   std::max(decode + prefill, recording);
  return result;
}

}  // namespace shardrift::study
