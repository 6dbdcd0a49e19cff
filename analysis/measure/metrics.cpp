#include "analysis/measure/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>

#include "analysis/measure/divergences.hpp"
#include "analysis/measure/value_differences.hpp"

namespace shardrift::analysis {
namespace {

// Zero by definition, also with NaN in the row.
void set_equal(std::int32_t next, Step& step) {
  step.max_abs = step.mean_abs = step.rms = 0;
  step.kl = step.kl_reverse = step.js = step.tv = 0;
  if (next != RowComparer::kNoToken) step.log_ratio = 0;
}

}  // namespace

RowComparer::RowComparer(DType reference, DType candidate, std::int64_t vocabulary) {
  const auto size = static_cast<std::size_t>(vocabulary);
  reference_.dtype = storage_of(reference);
  candidate_.dtype = storage_of(candidate);
  for (Side* side : {&reference_, &candidate_}) {
    side->row.resize(size);
    side->exps.resize(size);
  }
}

void RowComparer::Side::read(const std::byte* words) {
  widen(dtype, words, row);
  top = finder.find(row, kTop);
  sum = exp_row(row, top.value, exps);
}

double RowComparer::Side::probability(std::int32_t token) const {
  return exps[static_cast<std::size_t>(token)] / sum;
}

double RowComparer::Side::log_probability(std::int32_t token) const {
  return (row[static_cast<std::size_t>(token)] - top.value) - std::log(sum);
}

void RowComparer::compare(const std::byte* reference, const std::byte* candidate, std::int32_t next,
                          Step& step) {
  step.measured = true;
  reference_.read(reference);
  step.bit_equal = reference_.dtype == candidate_.dtype &&
                   std::memcmp(reference, candidate, reference_.row.size() * size_of(reference_.dtype)) == 0;
  if (step.bit_equal) {
    step.max_ulp = step.mean_ulp = 0;
  } else {
    candidate_.read(candidate);
    compare_values(reference, candidate, step);
  }
  const Side& other = step.bit_equal ? reference_ : candidate_;
  compare_tops(other, step);
  compare_probabilities(other, next, step);
  if (!step.differs()) set_equal(next, step);
}

void RowComparer::compare_tops(const Side& candidate, Step& step) const {
  step.margin_reference = reference_.top.margin;
  step.margin_candidate = candidate.top.margin;
  step.ties_reference = reference_.top.count;
  step.ties_candidate = candidate.top.count;
  const auto r = static_cast<std::size_t>(step.chosen_reference);
  const auto c = static_cast<std::size_t>(step.chosen_candidate);
  const double choice = candidate.row[r];
  step.rank_of_choice = std::isnan(choice) ? 0 : 1 + candidate.finder.above(candidate.row, choice);
  step.regret = step.flipped() ? reference_.row[r] - reference_.row[c] : 0.0;
  const auto& x = reference_.finder.ids();
  const auto& y = candidate.finder.ids();
  std::vector<std::int64_t> common;
  std::set_intersection(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(common));
  step.top_overlap = static_cast<std::int32_t>(common.size());
}

void RowComparer::compare_values(const std::byte* reference, const std::byte* candidate, Step& step) const {
  const bool same_dtype = reference_.dtype == candidate_.dtype;
  const auto total =
      same_dtype ? value_differences(reference_.dtype, reference, candidate, reference_.row, candidate_.row)
                 : value_differences(reference_.row, candidate_.row);
  step.elements_differ = total.elements_differ;
  step.not_finite = total.not_finite;
  const auto counted =
      static_cast<double>(static_cast<std::int64_t>(reference_.row.size()) - total.not_finite);
  if (counted == 0) return;
  step.max_abs = total.max_abs;
  step.mean_abs = total.sum_abs / counted;
  step.rms = std::sqrt(total.sum_square / counted);
  if (!same_dtype) return;
  step.max_ulp = total.max_ulp;
  step.mean_ulp = total.sum_ulp / counted;
}

void RowComparer::compare_probabilities(const Side& candidate, std::int32_t next, Step& step) const {
  step.p_reference = reference_.probability(step.chosen_reference);
  step.p_candidate = candidate.probability(step.chosen_reference);
  step.p_own = candidate.probability(step.chosen_candidate);
  if (next != kNoToken) step.p_next = reference_.probability(next);
  if (std::isnan(reference_.sum) || std::isnan(candidate.sum) || !step.differs()) return;
  if (next != kNoToken) step.log_ratio = candidate.log_probability(next) - reference_.log_probability(next);
  const Divergences total =
      divergences({reference_.row, reference_.exps, reference_.top.value, reference_.sum},
                  {candidate.row, candidate.exps, candidate.top.value, candidate.sum});
  step.kl = total.kl;
  step.kl_reverse = total.kl_reverse;
  step.js = total.js;
  step.tv = total.tv;
}

}  // namespace shardrift::analysis
