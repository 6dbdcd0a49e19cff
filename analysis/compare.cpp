#include "analysis/compare.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "analysis/alignment.hpp"
#include "common/error.hpp"

namespace shardrift::analysis {
namespace {

using record::PromptRecord;
using record::Reader;
using record::Row;

constexpr std::int64_t kBlockBytes = 4 << 20;  // of one file's rows in memory at a time

void require_same_model(const Reader& reference, const Reader& candidate) {
  const auto& r = reference.run().model;
  const auto& c = candidate.run().model;
  if (r.vocabulary != c.vocabulary)
    throw bad_data("{}: vocabulary of {}, {} has {}: these runs are of different models",
                   candidate.path().string(), c.vocabulary, reference.path().string(), r.vocabulary);
  if (r.identity != c.identity)
    throw bad_data("{}: model {} ({}), {} has {} ({}): compare runs of one model", candidate.path().string(),
                   c.identity.substr(0, 12), c.architecture, reference.path().string(),
                   r.identity.substr(0, 12), r.architecture);
}

// Ids in both files, in the reference's order. A partial file may lack prompts, a complete one may not.
std::vector<std::string> common_prompts(const Reader& reference, const Reader& candidate,
                                        std::vector<std::string>& missing) {
  const auto of_reference = reference.prompt_ids();
  const auto of_candidate = candidate.prompt_ids();
  const std::set<std::string> in_reference(of_reference.begin(), of_reference.end());
  const std::set<std::string> in_candidate(of_candidate.begin(), of_candidate.end());
  const auto require_in = [&](const std::string& id, const Reader& has, const Reader& lacks) {
    if (lacks.complete())
      throw bad_data("{}: has no prompt {}, which {} has: these runs did not get the same prompts",
                     lacks.path().string(), id, has.path().string());
    missing.push_back(id);
  };
  std::vector<std::string> common;
  for (const auto& id : of_reference) {
    if (in_candidate.count(id) != 0)
      common.push_back(id);
    else
      require_in(id, reference, candidate);
  }
  for (const auto& id : of_candidate)
    if (in_reference.count(id) == 0) require_in(id, candidate, reference);
  return common;
}

const Row& row_at(const std::vector<Row>& rows, std::int64_t i) {
  return rows[static_cast<std::size_t>(i)];
}

// Runs of one prompt: what the loop over its rows needs.
struct Pair {
  const Reader& reference;
  const Reader& candidate;
  const std::string& id;
  const std::vector<Row>& rows;  // the reference's
  Alignment alignment;
};

void measure_rows(const Pair& pair, RowComparer& comparer, PromptComparison& prompt) {
  const std::int64_t vocabulary = pair.reference.run().model.vocabulary;
  const auto reference_bytes =
      vocabulary * static_cast<std::int64_t>(size_of(pair.reference.run().logits_dtype));
  const auto candidate_bytes =
      vocabulary * static_cast<std::int64_t>(size_of(pair.candidate.run().logits_dtype));
  const std::int64_t block =
      std::max<std::int64_t>(1, kBlockBytes / std::max(reference_bytes, candidate_bytes));
  std::vector<std::byte> reference;
  std::vector<std::byte> candidate;
  for (std::int64_t begin = 0; begin < pair.alignment.count; begin += block) {
    const std::int64_t end = std::min(pair.alignment.count, begin + block);
    const auto r = pair.alignment.reference_begin;
    const auto c = pair.alignment.candidate_begin;
    pair.reference.read_logits(pair.id, r + begin, r + end, reference);
    pair.candidate.read_logits(pair.id, c + begin, c + end, candidate);
    for (std::int64_t i = begin; i < end; ++i) {
      const StepMetrics step =
          comparer.compare(reference.data() + (i - begin) * reference_bytes,
                           candidate.data() + (i - begin) * candidate_bytes, row_at(pair.rows, r + i).chosen);
      prompt.totals.add(step, vocabulary);
      if (prompt.flip && prompt.flip->step == r + i) prompt.flip->margin = step.reference.margin;
    }
  }
}

void add_choices(const PromptRecord& reference, const PromptRecord& candidate, const Alignment& alignment,
                 PromptComparison& prompt) {
  prompt.totals.steps = alignment.count;
  for (std::int64_t i = 0; i < alignment.count; ++i)
    if (row_at(reference.rows, alignment.reference_begin + i).chosen ==
        row_at(candidate.rows, alignment.candidate_begin + i).chosen)
      ++prompt.totals.top1_equal;
  const auto flip = first_flip(reference.rows, candidate.rows, alignment);
  if (!flip) return;
  const Row& r = row_at(reference.rows, alignment.reference_begin + *flip);
  const Row& c = row_at(candidate.rows, alignment.candidate_begin + *flip);
  prompt.flip = Flip{alignment.reference_begin + *flip, r.position, r.chosen, c.chosen, std::nullopt};
}

PromptComparison compare_prompt(const Reader& reference, const Reader& candidate, const std::string& id,
                                RowComparer& comparer) {
  const PromptRecord r = reference.prompt(id);
  const PromptRecord c = candidate.prompt(id);
  if (r.prompt.tokens != c.prompt.tokens)
    throw bad_data("{}: prompt {} has other tokens than in {}: these runs did not get the same prompts",
                   candidate.path().string(), id, reference.path().string());
  PromptComparison prompt;
  prompt.id = id;
  prompt.reference_steps = static_cast<std::int64_t>(r.rows.size());
  prompt.candidate_steps = static_cast<std::int64_t>(c.rows.size());
  prompt.has_logits = reference.has_logits(id) && candidate.has_logits(id);
  const Alignment alignment = align(r.rows, c.rows);
  add_choices(r, c, alignment, prompt);
  if (prompt.has_logits) measure_rows({reference, candidate, id, r.rows, alignment}, comparer, prompt);

  const bool same_dtype = reference.run().logits_dtype == candidate.run().logits_dtype;
  const bool all_rows =
      alignment.count == prompt.reference_steps && alignment.count == prompt.candidate_steps;
  // The recorded hash is of the words, so it can speak for logits that were not kept.
  const bool equal_hash = !r.hash.empty() && r.hash == c.hash;
  const bool no_difference =
      prompt.totals.steps_differ == 0 && prompt.totals.elements_differ == 0 && !prompt.flip && same_dtype;
  prompt.bit_equal = all_rows && no_difference && (prompt.has_logits || equal_hash);
  prompt.differs = !no_difference || (all_rows && !prompt.has_logits && !equal_hash);
  return prompt;
}

bool earlier(const PromptComparison& a, const PromptComparison& b) {
  return a.flip->step < b.flip->step;
}

}  // namespace

double Totals::mean_abs() const {
  const std::int64_t counted = elements - not_finite;
  return counted > 0 ? sum_abs / static_cast<double>(counted) : 0.0;
}
double Totals::mean_kl() const {
  return steps_measured > 0 ? sum_kl / static_cast<double>(steps_measured) : 0.0;
}
double Totals::top1_agreement() const {
  return steps > 0 ? static_cast<double>(top1_equal) / static_cast<double>(steps) : 1.0;
}

void Totals::add(const StepMetrics& step, std::int64_t vocabulary) {
  ++steps_measured;
  steps_differ += step.bit_equal ? 0 : 1;
  elements += vocabulary;
  elements_differ += step.elements_differ;
  not_finite += step.not_finite;
  max_abs = std::max(max_abs, step.max_abs);
  sum_abs += step.sum_abs;
  sum_kl += step.kl;  // one step without a value leaves the sum without one: it is not hidden
  if (std::isnan(step.kl) || step.kl > max_kl) max_kl = step.kl;
  max_abs_delta_p = std::max(max_abs_delta_p, std::fabs(step.delta_p));
  ties_reference += step.reference.count > 1 ? 1 : 0;
  ties_candidate += step.candidate.count > 1 ? 1 : 0;
}

void Totals::add(const Totals& other) {
  steps += other.steps;
  steps_measured += other.steps_measured;
  steps_differ += other.steps_differ;
  elements += other.elements;
  elements_differ += other.elements_differ;
  not_finite += other.not_finite;
  max_abs = std::max(max_abs, other.max_abs);
  sum_abs += other.sum_abs;
  sum_kl += other.sum_kl;
  if (std::isnan(other.max_kl) || other.max_kl > max_kl) max_kl = other.max_kl;
  max_abs_delta_p = std::max(max_abs_delta_p, other.max_abs_delta_p);
  top1_equal += other.top1_equal;
  ties_reference += other.ties_reference;
  ties_candidate += other.ties_candidate;
}

Comparison compare_runs(const Reader& reference, const Reader& candidate) {
  require_same_model(reference, candidate);
  Comparison result;
  result.path = candidate.path().string();
  result.plan = describe_plan(candidate.run());
  result.shards = shards_of(candidate.run());
  result.complete = candidate.complete();
  result.differences = differences_of(reference.run(), candidate.run());
  RowComparer comparer(reference.run().logits_dtype, candidate.run().logits_dtype,
                       reference.run().model.vocabulary);
  bool differs = false;
  for (const auto& id : common_prompts(reference, candidate, result.missing)) {
    result.prompts.push_back(compare_prompt(reference, candidate, id, comparer));
    const PromptComparison& prompt = result.prompts.back();
    result.totals.add(prompt.totals);
    result.prompts_bit_equal += prompt.bit_equal ? 1 : 0;
    differs = differs || prompt.differs;
    if (prompt.flip && (!result.first_flip || earlier(prompt, result.prompts[*result.first_flip])))
      result.first_flip = result.prompts.size() - 1;
  }
  const bool all = result.missing.empty() && !result.prompts.empty() &&
                   result.prompts_bit_equal == static_cast<std::int64_t>(result.prompts.size());
  result.verdict = differs ? Verdict::differs : all ? Verdict::bit_equal : Verdict::inconclusive;
  return result;
}

}  // namespace shardrift::analysis
