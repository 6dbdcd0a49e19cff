#include "analysis/report/token_story.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/measure/totals.hpp"

namespace shardrift::report {
namespace {

using analysis::TokenCell;
using record::PromptRecord;

std::string text_of(const record::Reader& reader, std::int32_t id) {
  const auto& vocab = reader.run().model.vocab;
  return static_cast<std::size_t>(id) < vocab.size() ? vocab[static_cast<std::size_t>(id)] : "";
}

// The chosen token is the first of the row's top list.
std::optional<TokenCell> recorded_cell(const record::Reader& reader, const PromptRecord& record,
                                       std::int64_t row) {
  if (row < 0 || row >= static_cast<std::int64_t>(record.rows.size())) return std::nullopt;
  TokenCell cell;
  cell.id = record.rows[static_cast<std::size_t>(row)].chosen;
  cell.text = text_of(reader, cell.id);
  const auto first = static_cast<std::size_t>(row * record.top.k);
  if (record.top.k > 0 && first < record.top.ids.size() && record.top.ids[first] == cell.id)
    cell.probability = std::exp(static_cast<double>(record.top.log_probabilities[first]));
  return cell;
}

TokenCell measured_cell(const record::Reader& reader, std::int32_t id, double probability) {
  TokenCell cell{id, text_of(reader, id), std::nullopt};
  if (!std::isnan(probability)) cell.probability = probability;
  return cell;
}

analysis::TokenTable story(const analysis::PromptMeasurement& prompt, const record::Reader& reference,
                           const record::Reader& candidate) {
  analysis::TokenTable table;
  table.prompt = prompt.id;
  const std::size_t flip = *prompt.first_flip;
  const std::size_t before = std::min(flip, static_cast<std::size_t>(kRowsBefore));
  for (std::size_t i = flip - before; i <= flip; ++i) {
    const auto& step = prompt.steps[i];
    table.rows.push_back({step.step, step.position,
                          measured_cell(reference, step.chosen_reference, step.p_reference),
                          measured_cell(candidate, step.chosen_candidate, step.p_own), i == flip});
  }
  const PromptRecord r = reference.prompt(prompt.id);
  const PromptRecord c = candidate.prompt(prompt.id);
  const auto& at = prompt.steps[flip];
  for (std::int64_t i = 1; i <= kRowsAfter; ++i) {
    analysis::TokenRow row;
    row.step = at.step + i;
    row.position = at.position + static_cast<std::int32_t>(i);
    row.reference = recorded_cell(reference, r, row.step);
    row.candidate = recorded_cell(candidate, c, at.candidate_step + i);
    if (!row.reference && !row.candidate) break;
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::vector<analysis::TokenTable> token_stories(const analysis::Measurement& measurement,
                                                const record::Reader& reference,
                                                const record::Reader& candidate) {
  std::vector<analysis::TokenTable> tables;
  for (const auto& prompt : measurement.prompts)
    if (prompt.first_flip) tables.push_back(story(prompt, reference, candidate));
  return tables;
}

}  // namespace shardrift::report
