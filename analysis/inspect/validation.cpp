#include "analysis/inspect/validation.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "common/argmax.hpp"
#include "common/error.hpp"
#include "record/logits_rows.hpp"
#include "record/reader.hpp"
#include "record/row_kind.hpp"
#include "record/shifted_rows.hpp"
#include "record/top_fault.hpp"
#include "record/verify.hpp"

namespace shardrift::analysis {
namespace {

using record::LogitsRows;
using record::PromptRecord;
using record::Reader;
using record::Row;
using record::Validation;
using record::Verify;

constexpr const char* kRowRule =
    "row i holds the logits after token input_ids[i] was fed at positions[i], which predict the token at the "
    "next "
    "position";

std::optional<std::string> fault_of_tokens(const PromptRecord& record, bool greedy) {
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

// Of one row's most likely tokens: distinct ones, whose probabilities are parts of one.
std::string fault_of_list(std::span<const std::int32_t> ids, std::span<const float> log_probabilities) {
  constexpr double kRounding = 0.01;  // servers give some digits of what 16 bits held
  std::vector<std::int32_t> sorted(ids.begin(), ids.end());
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end())
    return fmt::format("the list names token {} twice", *twice);
  double sum = 0;
  for (const float value : log_probabilities) sum += std::exp(static_cast<double>(value));
  if (sum > 1 + kRounding)
    return fmt::format("the probabilities of its list sum to {:.3g}, more than 1 (natural logarithms)", sum);
  return {};
}

std::optional<std::string> fault_of_top(const PromptRecord& record) {
  if (auto fault = record::fault_in_top(record)) return fault;
  const auto k = static_cast<std::size_t>(record.top.k);
  for (std::size_t i = 0; i < record.rows.size() && k > 0; ++i) {
    const auto* values = record.top.log_probabilities.data() + i * k;
    for (std::size_t j = 0; j < k; ++j)
      if (!(values[j] <= 1e-3F) || (j > 0 && values[j] > values[j - 1]))
        return fmt::format(
            "row {}: {} at place {} is no log-probability, or no descending one (natural logarithms, "
            "most likely first)",
            i, values[j], j);
    if (const auto fault = fault_of_list({record.top.ids.data() + i * k, k}, {values, k}); !fault.empty())
      return fmt::format("row {}: {}", i, fault);
  }
  return std::nullopt;
}

class Rows {
 public:
  Rows(const Reader& reader, Validation& found) : reader_(reader), found_(found) {}

  void add(const std::string& id) {
    const PromptRecord record = reader_.prompt(id);
    const std::string object = "/prompts/" + id;
    if (const auto fault = fault_of_tokens(record, reader_.run().mode == "greedy"))
      found_.wrong.push_back({object + "/input_ids", *fault});
    if (reader_.run().mode == "follow") shifted_.add(record);
    if (const auto fault = fault_of_top(record)) found_.wrong.push_back({object + "/top", *fault});
    if (record.rows.empty()) found_.wrong.push_back({object, "has no rows"});
    const auto tokens = static_cast<std::int64_t>(record.prompt.tokens.size());
    if (reader_.run().mode == "score" && !record.rows.empty() && record.rows.back().position >= tokens)
      found_.wrong.push_back(
          {object + "/tokens",
           fmt::format(
               "are {}, but rows stand at positions up to {}: in mode score `tokens` is the whole text; "
               "rows of generated tokens are of mode greedy or follow",
               tokens, record.rows.back().position)});
    for (const Row& row : record.rows) untimed_ += row.seconds >= 0 && std::isfinite(row.seconds) ? 0 : 1;
    try {
      record::verify_prompt(reader_, id, Verify::chosen_too);
    } catch (const Error& error) {
      found_.wrong.push_back({object, error.what()});
      return;
    }
    if (reader_.has_logits(id)) look_at_logits(id, static_cast<std::int64_t>(record.rows.size()));
  }

  void finish() {
    if (const auto shift = shifted_.shift())
      found_.lacks.push_back(
          {"/prompts/*/logits",
           fmt::format("in {} of {} rows the largest is that of the token {} the one that follows ({} are "
                       "that one): are "
                       "they one place off? {}",
                       shift->so, shift->rows,
                       shift->chose == record::ShiftedRows::Chose::token_before ? "before" : "after",
                       shift->right, kRowRule)});
    if (not_finite_ > 0)
      found_.lacks.push_back(
          {"/prompts/*/logits", fmt::format("{} of {} rows hold NaN or an infinity: no distribution, "
                                            "no KL of these",
                                            not_finite_, found_.rows_with_logits)});
    if (untimed_ > 0)
      found_.lacks.push_back({"/prompts/*/forward/seconds",
                              fmt::format("{} of {} rows have a negative time or none: no cost of these",
                                          untimed_, found_.rows)});
    if (probabilities_)
      found_.wrong.push_back({"/prompts/*/logits",
                              "are probabilities (they sum to 1), not logits: write what stood "
                              "before the softmax, or natural logarithms"});
    if (log_probabilities_ && reader_.run().environment.settings.count("logits") == 0)
      found_.lacks.push_back({"/environment/settings/@logits",
                              "these are log-probabilities, not logits: say so here "
                              "('log-probabilities'), as max|Δ| against logits means nothing"});
  }

 private:
  void look_at_logits(const std::string& id, std::int64_t rows) {
    const auto dtype = reader_.run().logits_dtype;
    const auto open = LogitsRows::open(reader_, id);
    std::vector<std::byte> words;
    record::KindOfRows kinds(dtype);
    for (std::int64_t row = 0; row < rows; ++row) {
      open.read(row, row + 1, words);
      const bool finite = choose(words, dtype).finite;
      not_finite_ += finite ? 0 : 1;
      if (finite) kinds.add(words);
    }
    probabilities_ = probabilities_ || kinds.kind() == record::RowKind::probabilities;
    log_probabilities_ = log_probabilities_ || kinds.kind() == record::RowKind::log_probabilities;
  }

  const Reader& reader_;
  Validation& found_;
  record::ShiftedRows shifted_;
  std::int64_t not_finite_ = 0;
  std::int64_t untimed_ = 0;
  bool probabilities_ = false;
  bool log_probabilities_ = false;
};

}  // namespace

Validation validate_record(const std::filesystem::path& path) {
  Validation found = record::validate(path);
  if (!found.usable()) return found;
  const auto reader = Reader::open(path);
  Rows rows(reader, found);
  for (const auto& id : reader.prompt_ids()) rows.add(id);
  rows.finish();
  return found;
}

}  // namespace shardrift::analysis
