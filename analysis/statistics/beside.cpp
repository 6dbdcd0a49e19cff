#include "analysis/statistics/beside.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace shardrift::statistics {
namespace {

using analysis::kNoValue;
using analysis::Measurement;
using analysis::PromptMeasurement;

std::map<std::string, const PromptMeasurement*> by_id(const Measurement& measurement) {
  std::map<std::string, const PromptMeasurement*> result;
  for (const auto& prompt : measurement.prompts) result[prompt.id] = &prompt;
  return result;
}

// Two sides' sums over the same prompts, in one order.
struct Paired {
  PromptSums a;
  PromptSums b;

  void add(const std::string& id) {
    for (auto* sums : {&a, &b}) {
      sums->ids.push_back(id);
      sums->sum.push_back(0);
      sums->rows.push_back(0);
    }
  }
};

Paired common_prompts(const PromptSums& a, const PromptSums& b) {
  std::map<std::string, std::size_t> places;
  for (std::size_t j = 0; j < b.ids.size(); ++j) places[b.ids[j]] = j;
  Paired paired;
  for (std::size_t j = 0; j < a.ids.size(); ++j) {
    const auto place = places.find(a.ids[j]);
    if (place == places.end()) continue;
    paired.add(a.ids[j]);
    paired.a.sum.back() = a.sum[j];
    paired.a.rows.back() = a.rows[j];
    paired.b.sum.back() = b.sum[place->second];
    paired.b.rows.back() = b.rows[place->second];
  }
  return paired;
}

void add_common_rows(const PromptMeasurement& a, const PromptMeasurement& b, const Metric& metric,
                     Paired& paired) {
  std::size_t j = 0;
  for (const auto& step : a.steps) {  // both ascend
    while (j < b.steps.size() && b.steps[j].step < step.step) ++j;
    if (j == b.steps.size()) return;
    if (b.steps[j].step != step.step) continue;
    const double of_a = metric.of(step);
    const double of_b = metric.of(b.steps[j]);
    if (std::isnan(of_a) || std::isnan(of_b)) continue;
    const bool mean = metric.average == Average::mean;
    paired.a.sum.back() += mean ? of_a : of_a * of_a;
    paired.b.sum.back() += mean ? of_b : of_b * of_b;
    paired.a.rows.back() += 1;
    paired.b.rows.back() += 1;
  }
}

double quotient(double a, double b) {
  if (b == 0) return a == 0 ? kNoValue : std::numeric_limits<double>::infinity();
  return a / b;
}

}  // namespace

NoiseFloor noise_floor(const std::vector<const Measurement*>& repeats) {
  NoiseFloor floor;
  floor.zero_bits = !repeats.empty();
  for (const auto* repeat : repeats) {
    floor.names.push_back(repeat->candidate.name);
    floor.zero_bits = floor.zero_bits && !repeat->prompts.empty();
    for (const auto& prompt : repeat->prompts) {
      ++floor.prompts;
      floor.zero_bits = floor.zero_bits && prompt.bit_equal;
      for (const auto& step : prompt.steps) {
        ++floor.rows;
        floor.rows_differ += step.measured && step.differs() ? 1 : 0;
        floor.flips += step.flipped() ? 1 : 0;
      }
    }
  }
  return floor;
}

AboveFloor above_floor(const Measurement& candidate, const std::vector<const Measurement*>& repeats,
                       const Metric& metric, const BootstrapOptions& options) {
  const Paired paired = common_prompts(sums_of(candidate, metric), sums_of(repeats, metric));
  const Worst worst = worst_of(candidate, metric, paired.a);
  const auto average = [&](double mean) { return metric.average == Average::mean ? mean : std::sqrt(mean); };
  AboveFloor result;
  result.rule = metric.floor;
  result.candidate = average_of(paired.a, metric.average, worst, options);
  result.floor = average_of(paired.b, metric.average, worst, options);
  result.excess = reweighted_pair(
      paired.a, worst, paired.b,
      [&](double a, double b) { return above_floor(average(a), average(b), metric.floor); }, options);
  return result;
}

Ratio ratio_on_common_rows(const Measurement& numerator, const Measurement& denominator, const Metric& metric,
                           const BootstrapOptions& options) {
  Paired paired;
  const auto others = by_id(denominator);
  for (const auto& prompt : numerator.prompts) {
    const auto other = others.find(prompt.id);
    if (other == others.end()) continue;
    paired.add(prompt.id);
    add_common_rows(prompt, *other->second, metric, paired);
  }
  const Worst worst = worst_of(numerator, metric, paired.a);
  Ratio result;
  result.metric = metric.name;
  for (const double rows : paired.a.rows) result.rows += static_cast<std::int64_t>(rows);
  result.numerator = average_of(paired.a, metric.average, worst, options);
  result.denominator = average_of(paired.b, metric.average, worst_of(denominator, metric, paired.b), options);
  result.ratio = reweighted_pair(
      paired.a, worst, paired.b,
      [&](double a, double b) {
        return metric.average == Average::mean ? quotient(a, b) : std::sqrt(quotient(a, b));
      },
      options);
  return result;
}

Spread spread_of(const std::vector<const Measurement*>& candidates, const BootstrapOptions& options) {
  Spread spread;
  if (candidates.empty()) return spread;
  spread.runs = static_cast<int>(candidates.size()) + 1;
  std::vector<std::map<std::string, const PromptMeasurement*>> prompts;
  prompts.reserve(candidates.size());
  for (const auto* candidate : candidates) prompts.push_back(by_id(*candidate));
  std::vector<double> index;
  std::vector<double> diverged;
  std::vector<double> deviation;
  std::vector<double> has_deviation;
  for (const auto& [id, first] : prompts.front()) {
    std::vector<const PromptMeasurement*> all;
    for (const auto& of_run : prompts) {
      const auto place = of_run.find(id);
      if (place != of_run.end()) all.push_back(place->second);
    }
    if (all.size() != candidates.size()) continue;
    ++spread.prompts;
    std::size_t same = std::numeric_limits<std::size_t>::max();  // rows before any difference
    bool differs = false;
    for (const auto* prompt : all) {
      differs = differs || prompt->first_flip.has_value();
      same = std::min(same, prompt->first_flip.value_or(prompt->steps.size()));
    }
    // A run that ended before the others' divergence says where it agreed, not that all diverge later.
    spread.diverged += differs ? 1 : 0;
    index.push_back(differs ? static_cast<double>(same) : 0);
    diverged.push_back(differs ? 1 : 0);
    double sum = 0;
    double rows = 0;
    for (std::size_t i = 0; i < same; ++i) {
      double mean = first->steps[i].p_reference;
      for (const auto* prompt : all)
        mean += prompt->steps[i].step == first->steps[i].step ? prompt->steps[i].p_own : kNoValue;
      mean /= spread.runs;
      double squares = (first->steps[i].p_reference - mean) * (first->steps[i].p_reference - mean);
      for (const auto* prompt : all)
        squares += (prompt->steps[i].p_own - mean) * (prompt->steps[i].p_own - mean);
      if (std::isnan(squares)) continue;
      sum += std::sqrt(squares / spread.runs);
      rows += 1;
    }
    deviation.push_back(rows > 0 ? sum / rows : 0);
    has_deviation.push_back(rows > 0 ? 1 : 0);
  }
  spread.divergence_index = bootstrap_ratio(index, diverged, options);
  spread.top1_spread = bootstrap_ratio(deviation, has_deviation, options);
  return spread;
}

}  // namespace shardrift::statistics
