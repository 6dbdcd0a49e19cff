#include "analysis/compare/token_table.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/measure/alignment.hpp"
#include "analysis/measure/rows.hpp"
#include "analysis/measure/totals.hpp"
#include "common/error.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

using record::PromptRecord;
using record::Reader;

std::optional<double> probability_of(const Reader& reader, const PromptRecord& record, std::int64_t row) {
  const auto& chosen = record.rows[static_cast<std::size_t>(row)].chosen;
  const auto& run = reader.run();
  if (reader.has_logits(record.prompt.id)) {
    std::vector<std::byte> words;
    reader.read_logits(record.prompt.id, row, row + 1, words);
    std::vector<double> values(static_cast<std::size_t>(run.model.vocabulary));
    widen(run.logits_dtype, words.data(), values);
    return probability(values, chosen);
  }
  for (std::int64_t i = row * record.top.k; i < (row + 1) * record.top.k; ++i)
    if (record.top.ids[static_cast<std::size_t>(i)] == chosen)
      return std::exp(static_cast<double>(record.top.log_probabilities[static_cast<std::size_t>(i)]));
  return std::nullopt;
}

std::optional<TokenCell> cell_of(const Reader& reader, const PromptRecord& record, std::int64_t row) {
  if (row < 0 || row >= static_cast<std::int64_t>(record.rows.size())) return std::nullopt;
  TokenCell cell;
  cell.id = record.rows[static_cast<std::size_t>(row)].chosen;
  const auto& vocab = reader.run().model.vocab;
  if (static_cast<std::size_t>(cell.id) < vocab.size()) cell.text = vocab[static_cast<std::size_t>(cell.id)];
  cell.probability = probability_of(reader, record, row);
  return cell;
}

const PromptMeasurement* chosen_prompt(const Measurement& measurement, const TableChoice& choice) {
  if (!choice.prompt) {
    const auto first = first_flip(measurement);
    return first ? &measurement.prompts[*first] : nullptr;
  }
  for (const auto& prompt : measurement.prompts)
    if (prompt.id == *choice.prompt) return &prompt;
  throw usage_error("--prompt {}: no such prompt in both files", *choice.prompt);
}

}  // namespace

std::optional<TokenTable> token_table(const Reader& reference, const Reader& candidate,
                                      const Measurement& measurement, const TableChoice& choice) {
  const PromptMeasurement* prompt = chosen_prompt(measurement, choice);
  if (prompt == nullptr) return std::nullopt;
  const Step* flip = flip_of(*prompt);
  const PromptRecord r = reference.prompt(prompt->id);
  const PromptRecord c = candidate.prompt(prompt->id);
  const Alignment alignment = align(r.rows, c.rows);
  const std::int64_t shift = alignment.candidate_begin - alignment.reference_begin;
  const auto last =
      std::max(static_cast<std::int64_t>(r.rows.size()), static_cast<std::int64_t>(c.rows.size()) - shift);
  // The flip stands in the middle: what led to it and what became of it.
  std::int64_t begin = flip != nullptr ? flip->step - (choice.steps - 1) / 2 : alignment.reference_begin;
  begin = std::max(alignment.reference_begin, std::min(begin, last - choice.steps));
  TokenTable table;
  table.prompt = prompt->id;
  for (std::int64_t step = begin; step < std::min(last, begin + choice.steps); ++step) {
    TokenRow row;
    row.step = step;
    row.reference = cell_of(reference, r, step);
    row.candidate = cell_of(candidate, c, step + shift);
    row.position = row.reference ? r.rows[static_cast<std::size_t>(step)].position
                                 : c.rows[static_cast<std::size_t>(step + shift)].position;
    row.here = flip != nullptr && flip->step == step;
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace shardrift::analysis
