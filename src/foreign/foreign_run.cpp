#include "foreign/foreign_run.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "common/argmax.hpp"
#include "common/error.hpp"
#include "foreign/finite_masks.hpp"
#include "record/row_kind.hpp"
#include "weights/convert.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::int64_t kBlockBytes = 8 << 20;

[[noreturn]] void refuse_value(const ForeignPrompt& prompt, std::int64_t row,
                               std::span<const std::byte> words, DType dtype, std::int64_t vocabulary) {
  std::vector<double> values(static_cast<std::size_t>(vocabulary));
  convert(words.data(), dtype, reinterpret_cast<std::byte*>(values.data()), DType::float64, values.size());
  const auto bad =
      std::find_if(values.begin(), values.end(), [](double value) { return !std::isfinite(value); });
  throw bad_data(
      "{}: row {}, token {} is {}: logits have to be finite; save them as the model computes them, before "
      "any are "
      "masked (a NaN is an error of the engine)",
      prompt.where, row, bad - values.begin(), *bad);
}

// Of prompts' rows what they are, and the setting that says it.
class Kinds {
 public:
  void add(const ForeignPrompt& prompt, record::RowKind kind) {
    if (kind == record::RowKind::probabilities)
      throw bad_data(
          "{}: row 0 holds probabilities (0 to 1, their sum is 1), as all {} of its rows do: give the "
          "logits, "
          "what stood before the softmax, or natural logarithms of these",
          prompt.where, prompt.record.rows.size());
    (kind == record::RowKind::logits ? logits_ : logarithms_).push_back(&prompt);
  }

  void tell(ForeignRun& run) const {
    if (logarithms_.empty()) return;
    if (logits_.empty()) {
      run.settings["logits"] = "log-probabilities: each row's exponentials sum to 1";
      return;
    }
    // One row may be so by chance.
    const auto sure = std::find_if(logarithms_.begin(), logarithms_.end(),
                                   [](const auto* prompt) { return prompt->record.rows.size() > 3; });
    if (sure != logarithms_.end())
      throw bad_data(
          "{}: holds log-probabilities (each row's exponentials sum to 1), {} logits: import them apart",
          (*sure)->where, logits_.front()->where);
  }

 private:
  std::vector<const ForeignPrompt*> logits_, logarithms_;
};

}  // namespace

std::vector<record::Row> rows_of(const std::vector<std::int32_t>& fed, std::int64_t first_position) {
  std::vector<record::Row> rows(fed.size());
  for (std::size_t i = 0; i < fed.size(); ++i) {
    rows[i].input_id = fed[i];
    rows[i].position = static_cast<std::int32_t>(first_position + static_cast<std::int64_t>(i));
  }
  return rows;
}

void check_tokens(const std::vector<std::int32_t>& tokens, std::int64_t vocabulary, const std::string& where,
                  const char* what) {
  for (std::size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocabulary)
      throw bad_data(
          "{}: token {} at place {} of {}: the vocabulary has {}: these tokens and logits are not of one "
          "model",
          where, tokens[i], i, what, vocabulary);
}

namespace {

// What was generated after row i; nullopt: nothing is known of it.
std::optional<std::int32_t> generated_after(const ForeignPrompt& prompt, std::size_t i) {
  const auto& rows = prompt.record.rows;
  if (i + 1 == rows.size()) return prompt.last;
  const auto next = rows[i + 1].input_id;
  return next == kChosenBefore ? std::nullopt : std::optional(next);
}

// Engines break ties as they like: what was generated is a choice, too, where its logit is the largest.
std::int32_t chosen_of(const ForeignPrompt& prompt, std::size_t i, std::span<const std::byte> row,
                       DType dtype, std::int32_t lowest) {
  const auto made = generated_after(prompt, i);
  const auto size = size_of(dtype);
  const auto at = [&](std::int32_t token) { return row.data() + static_cast<std::size_t>(token) * size; };
  return made && std::memcmp(at(*made), at(lowest), size) == 0 ? *made : lowest;
}

}  // namespace

std::optional<std::string> choose_all(ForeignRun& run) {
  const auto row_bytes = static_cast<std::size_t>(run.vocabulary) * size_of(run.dtype);
  const auto together = std::max<std::int64_t>(1, kBlockBytes / static_cast<std::int64_t>(row_bytes));
  const bool kind_is_said = run.settings.contains("logits");
  std::vector<std::byte> words;
  Kinds kinds;
  FiniteMasks masks(run.dtype, run.vocabulary);
  for (auto& prompt : run.prompts) {
    if (!prompt.logits) continue;
    auto& rows = prompt.record.rows;
    record::KindOfRows kind(run.dtype);
    const auto count = static_cast<std::int64_t>(rows.size());
    for (std::int64_t begin = 0; begin < count; begin += together) {
      const auto end = std::min(count, begin + together);
      prompt.logits(begin, end, words);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::span<const std::byte> row(words.data() + static_cast<std::size_t>(i - begin) * row_bytes,
                                             row_bytes);
        const Choice choice = choose(row, run.dtype);
        if (!choice.finite) refuse_value(prompt, i, row, run.dtype, run.vocabulary);
        masks.add(prompt.where, i, row);
        rows[static_cast<std::size_t>(i)].chosen =
            run.scored ? choice.token
                       : chosen_of(prompt, static_cast<std::size_t>(i), row, run.dtype, choice.token);
        if (!kind_is_said) kind.add(row);
      }
    }
    if (!kind_is_said) kinds.add(prompt, kind.kind());
    for (std::size_t i = 1; i < rows.size(); ++i)
      if (rows[i].input_id == kChosenBefore) rows[i].input_id = rows[i - 1].chosen;
  }
  kinds.tell(run);
  return masks.note();
}

std::string mode_of(const ForeignRun& run) {
  if (run.scored) return "score";
  for (const auto& prompt : run.prompts) {
    const auto& rows = prompt.record.rows;
    for (std::size_t i = 1; i < rows.size(); ++i)
      if (rows[i].input_id != rows[i - 1].chosen) return "follow";
    if (prompt.last && !rows.empty() && *prompt.last != rows.back().chosen) return "follow";
  }
  return "greedy";
}

}  // namespace shardrift::foreign
