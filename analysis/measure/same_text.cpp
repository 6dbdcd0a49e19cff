#include "analysis/measure/same_text.hpp"

#include <algorithm>
#include <map>

#include "common/error.hpp"

namespace shardrift::analysis {
namespace {

using record::PromptRecord;

constexpr std::int32_t kUnknown = -1;

// The tokens at positions [0, end): the prompt's, then those that rows were fed.
std::vector<std::int32_t> fed_before(const PromptRecord& record, std::size_t end) {
  std::vector<std::int32_t> fed(end, kUnknown);
  for (const auto& row : record.rows)
    if (const auto at = static_cast<std::size_t>(row.position); at < end) fed[at] = row.input_id;
  std::copy_n(record.prompt.tokens.begin(), std::min(end, record.prompt.tokens.size()), fed.begin());
  return fed;
}

// For people, who count positions from 1.
std::string apart_at(const PromptRecord& reference, const PromptRecord& candidate, std::size_t position,
                     const std::string& of_reference, const std::string& of_candidate) {
  return fmt::format("{} and {} tokens, at position {} {} against {}", reference.prompt.tokens.size(),
                     candidate.prompt.tokens.size(), position + 1, of_reference, of_candidate);
}

std::string shown_token(std::int32_t token) {
  return token == kUnknown ? "none" : std::to_string(token);
}

}  // namespace

std::optional<std::string> other_tokens(const PromptRecord& reference, const PromptRecord& candidate) {
  const auto& r = reference.prompt.tokens;
  const auto& c = candidate.prompt.tokens;
  // Without rows on a side there is no position from which they go together.
  const bool rows = !reference.rows.empty() && !candidate.rows.empty();
  const auto end = rows ? static_cast<std::size_t>(
                              std::max(reference.rows.front().position, candidate.rows.front().position))
                        : std::max(r.size(), c.size());
  const auto of_r = fed_before(reference, end);
  const auto of_c = fed_before(candidate, end);
  const auto [at_r, at_c] = std::mismatch(of_r.begin(), of_r.end(), of_c.begin());
  if (at_r != of_r.end())
    return apart_at(reference, candidate, static_cast<std::size_t>(at_r - of_r.begin()), shown_token(*at_r),
                    shown_token(*at_c));
  if (!rows) return std::nullopt;
  // From there on rows are held against each other; the first pair has to be one.
  const auto first = [&](const PromptRecord& record) {
    return std::find_if(record.rows.begin(), record.rows.end(),
                        [&](const auto& row) { return static_cast<std::size_t>(row.position) >= end; });
  };
  const auto row_r = first(reference);
  const auto row_c = first(candidate);
  if (row_r == reference.rows.end() || row_c == candidate.rows.end())
    return fmt::format("the rows of one end before position {}, where those of the other begin", end + 1);
  if (row_r->position != row_c->position || row_r->input_id != row_c->input_id)
    return apart_at(reference, candidate, end, std::to_string(row_r->input_id),
                    std::to_string(row_c->input_id));
  return std::nullopt;
}

}  // namespace shardrift::analysis
