#include "analysis/measure/totals.hpp"

#include <algorithm>
#include <cmath>

namespace shardrift::analysis {
namespace {

// NaN wins: a step without a value is not hidden by the others.
double larger(double a, double b) {
  return std::isnan(a) || std::isnan(b) ? kNoValue : std::max(a, b);
}

}  // namespace

double Totals::mean_abs() const {
  return elements > 0 ? sum_abs / static_cast<double>(elements) : 0.0;
}
double Totals::rms() const {
  return elements > 0 ? std::sqrt(sum_square / static_cast<double>(elements)) : 0.0;
}
double Totals::mean_of(double sum) const {
  return steps_measured > 0 ? sum / static_cast<double>(steps_measured) : 0.0;
}
double Totals::mean_kl() const {
  return mean_of(sum_kl);
}
double Totals::top1_agreement() const {
  return steps > 0 ? static_cast<double>(top1_equal) / static_cast<double>(steps) : 1.0;
}

void Totals::add(const Step& step, std::int64_t vocabulary) {
  ++steps;
  top1_equal += step.flipped() ? 0 : 1;
  if (!step.measured) return;
  ++steps_measured;
  steps_differ += step.differs() ? 1 : 0;
  elements += vocabulary;
  elements_differ += step.elements_differ;
  not_finite += step.not_finite;
  rows_not_finite += step.not_finite > 0 ? 1 : 0;
  rows_without_value += step.differs() && std::isnan(step.kl) ? 1 : 0;
  // What is left of a row without some of its elements is no row's largest difference, and no mean.
  const bool whole = step.not_finite == 0;
  max_abs = larger(max_abs, whole ? step.max_abs : kNoValue);
  sum_abs += whole ? step.mean_abs * static_cast<double>(vocabulary) : kNoValue;
  sum_square += whole ? step.rms * step.rms * static_cast<double>(vocabulary) : kNoValue;
  max_ulp = larger(max_ulp, whole ? step.max_ulp : kNoValue);
  sum_kl += step.kl;
  sum_kl_reverse += step.kl_reverse;
  sum_js += step.js;
  sum_tv += step.tv;
  max_regret = larger(max_regret, step.regret);
  sum_top_overlap += step.top_overlap;
  worst_rank = std::max(worst_rank, step.rank_of_choice);
  flips_at_ties += step.flipped() && step.tied() ? 1 : 0;
  max_kl = larger(max_kl, step.kl);
  if (step.differs())
    max_abs_delta_p = larger(max_abs_delta_p, std::fabs(step.p_candidate - step.p_reference));
  ties_reference += step.ties_reference > 1 ? 1 : 0;
  ties_candidate += step.ties_candidate > 1 ? 1 : 0;
}

Totals totals_of(const PromptMeasurement& prompt, std::int64_t vocabulary) {
  Totals totals;
  for (const auto& step : prompt.steps) totals.add(step, vocabulary);
  return totals;
}

Totals totals_of(const Measurement& measurement) {
  Totals totals;
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps) totals.add(step, measurement.reference.run.model.vocabulary);
  return totals;
}

const Step* flip_of(const PromptMeasurement& prompt) {
  return prompt.first_flip ? &prompt.steps[*prompt.first_flip] : nullptr;
}

RowsEnd end_of(const PromptMeasurement& prompt) {
  const bool none = prompt.steps.empty();
  const bool in_reference =
      none ? prompt.reference_steps > 0 : prompt.steps.back().step + 1 < prompt.reference_steps;
  const bool in_candidate =
      none ? prompt.candidate_steps > 0 : prompt.steps.back().candidate_step + 1 < prompt.candidate_steps;
  if (!in_reference && !in_candidate) return RowsEnd::both;
  if (!none && prompt.steps.back().flipped()) return RowsEnd::flip;
  return in_reference && in_candidate ? RowsEnd::other_tokens : RowsEnd::fewer;
}

bool scored_beside_generated(const Measurement& measurement) {
  return (measurement.reference.run.mode == "score") != (measurement.candidate.run.mode == "score");
}

std::optional<std::size_t> first_flip(const Measurement& measurement) {
  std::optional<std::size_t> first;
  for (std::size_t i = 0; i < measurement.prompts.size(); ++i) {
    const Step* flip = flip_of(measurement.prompts[i]);
    if (flip != nullptr && (!first || flip->step < flip_of(measurement.prompts[*first])->step)) first = i;
  }
  return first;
}

std::int64_t prompts_bit_equal(const Measurement& measurement) {
  return std::count_if(measurement.prompts.begin(), measurement.prompts.end(),
                       [](const auto& prompt) { return prompt.bit_equal; });
}

bool in_other_dtypes(const Measurement& measurement) {
  const auto& prompts = measurement.prompts;
  return storage_of(measurement.reference.run.logits_dtype) !=
             storage_of(measurement.candidate.run.logits_dtype) &&
         std::any_of(prompts.begin(), prompts.end(), [](const auto& prompt) { return prompt.has_logits; });
}

bool same_numbers(const Measurement& measurement, const PromptMeasurement& prompt) {
  const auto rows = static_cast<std::int64_t>(prompt.steps.size());
  return in_other_dtypes(measurement) && prompt.has_logits && !prompt.differs &&
         rows == prompt.reference_steps && rows == prompt.candidate_steps;
}

Equality equality_of(const Measurement& measurement) {
  const auto& prompts = measurement.prompts;
  if (std::any_of(prompts.begin(), prompts.end(), [](const auto& prompt) { return prompt.differs; }))
    return Equality::differs;
  if (!measurement.whole() || prompts.empty() || measurement.of_probabilities())
    return Equality::inconclusive;
  if (std::all_of(prompts.begin(), prompts.end(), [](const auto& prompt) { return prompt.bit_equal; }))
    return Equality::bit_equal;
  const auto same = [&](const auto& prompt) { return same_numbers(measurement, prompt); };
  return std::all_of(prompts.begin(), prompts.end(), same) ? Equality::same_numbers : Equality::inconclusive;
}

Closeness closeness_of(const Measurement& measurement, double tolerance) {
  const auto equality = equality_of(measurement);
  if (equality == Equality::bit_equal || equality == Equality::same_numbers) return Closeness::within;
  const auto totals = totals_of(measurement);
  if (totals.max_abs > tolerance || totals.not_finite > 0 || totals.top1_equal < totals.steps)
    return Closeness::beyond;
  const bool all =
      measurement.whole() && !measurement.prompts.empty() && !measurement.of_probabilities() &&
      std::all_of(measurement.prompts.begin(), measurement.prompts.end(), [](const auto& prompt) {
        const auto rows = static_cast<std::int64_t>(prompt.steps.size());
        return prompt.has_logits && rows == prompt.reference_steps && rows == prompt.candidate_steps;
      });
  return all ? Closeness::within : Closeness::inconclusive;
}

}  // namespace shardrift::analysis
