#include "analysis/measure/not_comparable.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "analysis/measure/totals.hpp"
#include "common/error.hpp"
#include "common/names_text.hpp"

namespace shardrift::analysis {
namespace {

std::string prompts_text(std::size_t count, std::size_t of) {
  return fmt::format("{} of {} prompt{}", count, of, of == 1 ? "" : "s");
}

constexpr std::size_t kNamed = 8;  // prompts

// What import refuses, and a record written by hand can hold all the same.
void add_probabilities(std::vector<std::string>& out, const Measurement& m) {
  std::vector<std::string> who;
  for (const auto* run : {&m.reference, &m.candidate})
    if (run->probabilities) who.push_back(run->name);
  if (who.empty()) return;
  out.push_back(
      fmt::format("probabilities: the rows of {} are no logits but sum to 1: no number below means what it "
                  "says, and nothing passes; write what stood before the softmax, or natural logarithms",
                  fmt::join(who, " and ")));
}

void add_missing(std::vector<std::string>& out, const Measurement& m) {
  if (m.missing() == 0) return;
  std::vector<std::string> lacks;
  for (const auto& [run, ids] :
       {std::pair(&m.reference, &m.missing_in_reference), std::pair(&m.candidate, &m.missing_in_candidate)})
    if (!ids->empty())
      lacks.push_back(fmt::format("{}{} lacks {}", run->name, run->complete ? "" : " (partial)",
                                  names_text(*ids, kNamed)));
  out.push_back(fmt::format("prompts: {} {} in both records; {}",
                            prompts_text(m.all_prompts() - m.missing(), m.all_prompts()),
                            m.all_prompts() - m.missing() == 1 ? "is" : "are", fmt::join(lacks, "; ")));
}

void add_contradictory(std::vector<std::string>& out, const Measurement& m) {
  const auto& left = m.contradictory;
  if (left.empty()) return;
  out.push_back(
      fmt::format("damaged or wrong: {} {} left out, of which a record contradicts itself ({}: {}): "
                  "shardrift inspect FILE "
                  "--validate says all of it",
                  prompts_text(left.size(), m.all_prompts()), left.size() == 1 ? "is" : "are",
                  left.front().id, left.front().why));
}

void add_tokens(std::vector<std::string>& out, const Measurement& m) {
  const auto& left = m.left_out;
  if (left.empty()) return;
  out.push_back(
      fmt::format("tokens: {} {} left out, fed other tokens ({}: {}): give both engines the same token ids",
                  prompts_text(left.size(), m.all_prompts()), left.size() == 1 ? "is" : "are",
                  left.front().id, left.front().why));
}

void add_levels(std::vector<std::string>& out, const Measurement& m) {
  std::size_t without = 0;
  for (const auto& prompt : m.prompts) without += prompt.has_logits ? 0 : 1;
  if (without == 0) return;
  std::vector<std::string> who;
  for (const auto* run : {&m.reference, &m.candidate})
    if (run->run.level == "top") who.push_back(run->name);
  out.push_back(
      fmt::format("top-k only: {} {} not every logit of {}: choices are compared, not bits, KL or max|Δ|",
                  who.empty() ? "a side" : fmt::format("{}", fmt::join(who, " and ")),
                  who.size() == 2 ? "have" : "has", prompts_text(without, m.prompts.size())));
}

// Rows that were compared, of those of the longer side.
struct Met {
  std::int64_t rows = 0;
  std::int64_t of = 0;

  void add(const PromptMeasurement& prompt) {
    rows += static_cast<std::int64_t>(prompt.steps.size());
    of += std::max(prompt.reference_steps, prompt.candidate_steps);
  }
  bool all() const { return rows == of; }
};

// A text that was scored and one that was generated go together where the one has in its prompt what the
// other chose.
void add_modes(std::vector<std::string>& out, const Measurement& m) {
  if (!scored_beside_generated(m) || m.prompts.empty()) return;
  const bool of_r = m.reference.run.mode == "score";
  Met met;
  for (const auto& prompt : m.prompts) met.add(prompt);
  if (met.all()) return;
  const auto& scored = of_r ? m.reference : m.candidate;
  const auto& generated = of_r ? m.candidate : m.reference;
  out.push_back(
      fmt::format("rows: {} generated a text, {} scored a given one: {} of {} rows meet, where both have the "
                  "same tokens; "
                  "the others are not compared",
                  generated.name, scored.name, met.rows, met.of));
}

// Rows of prompts that end apart.
void add_ends(std::vector<std::string>& out, const Measurement& m) {
  std::size_t fewer_in_r = 0, fewer_in_c = 0, apart = 0;
  Met met;
  const PromptMeasurement* first = nullptr;
  for (const auto& prompt : m.prompts) {
    const auto end = end_of(prompt);
    if (end == RowsEnd::other_tokens) {
      ++apart;
      if (first == nullptr) first = &prompt;
    } else if (end == RowsEnd::fewer) {
      ++(prompt.reference_steps < prompt.candidate_steps ? fewer_in_r : fewer_in_c);
      met.add(prompt);
    }
  }
  if (apart > 0)
    out.push_back(fmt::format(
        "tokens: {} {} fed other tokens from some row on, where the most likely one had been the same ({} "
        "after {} "
        "rows): sampled, or chosen otherwise; the rows after it are not compared",
        prompts_text(apart, m.prompts.size()), apart == 1 ? "was" : "were", first->id, first->steps.size()));
  if (met.all() || scored_beside_generated(m)) return;  // add_modes says it
  const std::string& shorter = fewer_in_c > 0 ? m.candidate.name : m.reference.name;
  out.push_back(fmt::format("rows: {}{} ends earlier in {}: {} of their {} rows are compared", shorter,
                            fewer_in_r > 0 && fewer_in_c > 0 ? " or " + m.reference.name : "",
                            prompts_text(fewer_in_r + fewer_in_c, m.prompts.size()), met.rows, met.of));
}

void add_dtypes(std::vector<std::string>& out, const Measurement& m) {
  const auto& r = m.reference.run;
  const auto& c = m.candidate.run;
  if (in_other_dtypes(m))
    out.push_back(fmt::format("logits: {} against {}: compared as numbers, no bits and no ULP",
                              name_of(r.logits_dtype), name_of(c.logits_dtype)));
  if (!r.model.dtype.empty() && !c.model.dtype.empty() && r.model.dtype != c.model.dtype)
    out.push_back(fmt::format("computed in {} against {}: what that rounds is among what differs",
                              r.model.dtype, c.model.dtype));
}

std::string logits_setting(const RunSummary& run) {
  const auto& settings = run.run.environment.settings;
  const auto found = settings.find(kLogitsSetting);
  return found == settings.end() ? std::string() : found->second;
}

// Log-probabilities are logits less one number a row: distributions are the same, elements are not.
void add_kinds(std::vector<std::string>& out, const Measurement& m) {
  const auto of_r = logits_setting(m.reference);
  const auto of_c = logits_setting(m.candidate);
  if (of_r == of_c && of_r.empty()) return;
  for (const auto* run : {&m.reference, &m.candidate})
    if (const auto kind = logits_setting(*run); !kind.empty())
      out.push_back(fmt::format("logits: those of {} are {}", run->name, kind));
  if (of_r.empty() != of_c.empty())
    out.emplace_back(
        "logits against log-probabilities: KL, probabilities, margins and choices are compared as such; "
        "max|Δ|, RMS "
        "and elements that differ mean nothing");
}

void add_weights(std::vector<std::string>& out, const Measurement& m) {
  const auto& r = m.reference.run;
  const auto& c = m.candidate.run;
  if (other_weights(r, c)) {
    out.emplace_back(
        "the records are of different weights: what differs is the model, not how it was sharded");
    return;
  }
  if (const auto differs = config_difference(r.model.config, c.model.config)) {
    out.push_back(fmt::format("the records are of different models: config.json says {} {} in {}, {} in {}",
                              differs->what, differs->reference, m.reference.name, differs->candidate,
                              m.candidate.name));
    return;
  }
  std::vector<std::string> silent;
  for (const auto* run : {&m.reference, &m.candidate})
    if (run->run.model.weights.empty() && !engine_of(run->run).empty()) silent.push_back(run->name);
  if (silent.empty()) return;
  const bool known = !r.model.identity.empty() && !c.model.identity.empty();
  const bool alike = known && r.model.identity == c.model.identity;
  if (known && !alike) {
    out.emplace_back("models: the tensors' names, dtypes, shapes or sizes are others in the two records");
    return;
  }
  out.push_back(
      fmt::format("weights: {} {} not say of which: {}that both ran the same is taken on trust",
                  fmt::join(silent, " and "), silent.size() == 1 ? "does" : "do",
                  alike ? "config.json and the tensors' names, shapes and sizes are the same, " : ""));
}

}  // namespace

std::vector<std::string> not_comparable(const Measurement& measurement) {
  std::vector<std::string> out;
  add_probabilities(out, measurement);
  add_missing(out, measurement);
  add_tokens(out, measurement);
  add_contradictory(out, measurement);
  add_modes(out, measurement);
  add_ends(out, measurement);
  add_levels(out, measurement);
  add_dtypes(out, measurement);
  add_kinds(out, measurement);
  add_weights(out, measurement);
  return out;
}

std::string not_comparable_text(const std::vector<std::string>& sentences) {
  std::string text;
  for (const auto& one : sentences) text += "  " + one + "\n";
  return text.empty() ? text : "not comparable, or only in part\n" + text;
}

}  // namespace shardrift::analysis
