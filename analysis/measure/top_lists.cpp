#include "analysis/measure/top_lists.hpp"

#include <cmath>

namespace shardrift::analysis {
namespace {

struct Head {
  double probability = kNoValue;
  double margin = kNoValue;
};

Head head_of(const record::Top& top, std::int64_t row) {
  Head head;
  if (top.k < 1) return head;
  const auto* values = top.log_probabilities.data() + row * top.k;
  head.probability = std::exp(static_cast<double>(values[0]));
  if (top.k > 1) head.margin = static_cast<double>(values[0]) - static_cast<double>(values[1]);
  return head;
}

}  // namespace

void measure_top(const record::Top& reference, const record::Top& candidate, std::vector<Step>& steps) {
  for (Step& step : steps) {
    const Head r = head_of(reference, step.step);
    const Head c = head_of(candidate, step.candidate_step);
    step.p_reference = r.probability;
    step.margin_reference = r.margin;
    step.p_own = c.probability;
    step.margin_candidate = c.margin;
  }
}

}  // namespace shardrift::analysis
