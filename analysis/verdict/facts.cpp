#include "analysis/verdict/facts.hpp"

#include <cmath>

#include "analysis/measure/differences.hpp"
#include "analysis/measure/totals.hpp"
#include "analysis/statistics/percentiles.hpp"
#include "analysis/statistics/survival.hpp"
#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::verdict {
namespace {

std::int64_t rows_without_value(const analysis::Measurement& measurement) {
  std::int64_t rows = 0;
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps)
      rows += step.measured && (std::isnan(step.kl) || std::isnan(step.p_reference)) ? 1 : 0;
  return rows;
}

std::optional<Plan> plan_of(const analysis::RunSummary& run) {
  try {
    return plan_from_json(run.run.plan);
  } catch (const Error&) {  // a newer version's, or none
    return std::nullopt;
  }
}

std::string device_name(Device device) {
  return device == Device::cuda ? "GPU" : "CPU";
}

std::string quantized_instead(Quantization from, Quantization to) {
  if (from == Quantization::none) return fmt::format("{} weights", name_of(to));
  if (to == Quantization::none) return fmt::format("unquantized weights instead of {}", name_of(from));
  return fmt::format("{} weights instead of {}", name_of(to), name_of(from));
}

// What changes numbers whatever is divided: weights, dtype, the kind of device.
std::string numerics_of(const analysis::RunSummary& reference, const analysis::RunSummary& candidate,
                        const std::optional<Plan>& one, const std::optional<Plan>& other) {
  if (analysis::other_weights(reference.run, candidate.run)) return "other weights";
  const auto& from = reference.run.model;
  const auto& to = candidate.run.model;
  if (const auto engine = analysis::engine_of(candidate.run); engine != analysis::engine_of(reference.run))
    return engine.empty() ? "shardrift's own worker" : engine;
  if (from.quantization != to.quantization && !from.quantization.empty() && !to.quantization.empty())
    return "quantization " + to.quantization;
  if (one && other && one->quantize != other->quantize)
    return quantized_instead(one->quantize, other->quantize);
  if (one && other && one->dtype != other->dtype)
    return fmt::format("{} instead of {}", name_of(other->dtype), name_of(one->dtype));
  if (one && other && one->device != other->device)
    return fmt::format("a {} instead of a {}", device_name(other->device), device_name(one->device));
  if (one && other && one->launch != other->launch) {
    auto alike = *one;
    alike.launch = other->launch;
    if (alike == *other) return fmt::format("the same plan, launched {}", name_of(other->launch));
  }
  return {};
}

Arrangement arrangement_of(const analysis::RunSummary& reference, const analysis::RunSummary& candidate) {
  const auto one = plan_of(reference);
  const auto other = plan_of(candidate);
  Arrangement result;
  result.predicted = candidate.predicted;
  result.numerics = numerics_of(reference, candidate, one, other);
  if (!other) return result;
  result.known = true;
  result.same_plan = one && *one == *other;
  result.device = other->device == Device::cuda ? "GPU" : "rank";
  result.predicted |= other->shards > other->tensor_parallel && other->reduction.predicts();
  result.tensor_parallel = result.predicted ? other->shards : other->tensor_parallel;
  result.pipeline = other->pipeline;
  result.replicas = other->replicas;
  result.shards = other->shards;
  return result;
}

}  // namespace

bool ties_known(const analysis::Measurement& measurement) {
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps)
      if (step.flipped() && !step.measured) return false;
  return true;
}

Facts facts_of(const analysis::Measurement& measurement) {
  Facts facts;
  facts.arrangement = arrangement_of(measurement.reference, measurement.candidate);
  facts.mode = measurement.candidate.run.mode;
  facts.generates = statistics::generates(measurement);
  facts.complete = measurement.reference.complete && measurement.candidate.complete;
  facts.missing = static_cast<std::int64_t>(measurement.missing());
  facts.left_out = static_cast<std::int64_t>(measurement.left_out.size());
  facts.contradictory = static_cast<std::int64_t>(measurement.contradictory.size());
  facts.ties_known = ties_known(measurement);
  facts.without_value = rows_without_value(measurement);
  facts.other_dtypes = analysis::in_other_dtypes(measurement);
  facts.probabilities = measurement.of_probabilities();
  const bool one_kind = !analysis::scored_beside_generated(measurement);
  const bool of_engine = !analysis::engine_of(measurement.reference.run).empty() ||
                         !analysis::engine_of(measurement.candidate.run).empty();
  std::vector<double> parted;
  for (const auto& prompt : measurement.prompts) {
    const auto end = analysis::end_of(prompt);
    facts.rows_missing += end == analysis::RowsEnd::fewer && one_kind ? 1 : 0;
    facts.choices_alone += of_engine && !prompt.has_logits ? 1 : 0;
    facts.fed_apart += end == analysis::RowsEnd::other_tokens ? 1 : 0;
    if (analysis::same_numbers(measurement, prompt))
      ++facts.same_numbers;
    else if (!prompt.bit_equal && !prompt.differs && end == analysis::RowsEnd::both)
      ++facts.bits_unknown;
    const auto* flip = analysis::flip_of(prompt);
    if (flip == nullptr) continue;
    ++facts.parted;
    facts.parted_measured += flip->measured ? 1 : 0;
    facts.parted_at_ties += flip->measured && flip->tied() ? 1 : 0;
    parted.push_back(static_cast<double>(flip->step + 1));
    if (!facts.earliest || flip->step + 1 < *facts.earliest) {
      facts.earliest = flip->step + 1;
      facts.earliest_prompt = prompt.id;
    }
  }
  facts.median_parted = statistics::percentile(parted, 0.5);
  return facts;
}

}  // namespace shardrift::verdict
