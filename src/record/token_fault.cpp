#include "record/token_fault.hpp"

#include <fmt/core.h>

namespace shardrift::record {
namespace {

constexpr const char* kRowRule =
    "row i holds the logits after token input_ids[i] was fed at positions[i], which predict the token at the "
    "next "
    "position";

}  // namespace

std::optional<std::string> fault_in_tokens(const PromptRecord& record, bool greedy) {
  const auto& tokens = record.prompt.tokens;
  for (std::size_t i = 0; i < record.rows.size(); ++i) {
    const Row& row = record.rows[i];
    const auto position = static_cast<std::size_t>(row.position);
    if (position < tokens.size() && tokens[position] != row.input_id)
      return fmt::format("row {} is fed token {} at position {}, where the prompt has {}; {}", i,
                         row.input_id, position, tokens[position], kRowRule);
    if (i == 0 || row.position != record.rows[i - 1].position + 1 || position < tokens.size()) continue;
    const auto chosen = record.rows[i - 1].chosen;
    if (greedy && chosen != row.input_id)
      return fmt::format(
          "row {} chose token {}, but row {} was fed {}: in mode greedy the chosen one is fed (sampled or "
          "given "
          "tokens: mode follow); {}",
          i - 1, chosen, i, row.input_id, kRowRule);
  }
  return std::nullopt;
}

std::optional<std::string> fault_in_scored(const PromptRecord& record) {
  const auto tokens = static_cast<std::int64_t>(record.prompt.tokens.size());
  if (record.rows.empty() || record.rows.back().position < tokens) return std::nullopt;
  return fmt::format(
      "are {}, but rows stand at positions up to {}: in mode score `tokens` is the whole text; rows of "
      "generated tokens are of mode greedy or follow",
      tokens, record.rows.back().position);
}

}  // namespace shardrift::record
