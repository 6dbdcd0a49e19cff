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
#include "record/token_fault.hpp"
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

class Rows {
 public:
  Rows(const Reader& reader, Validation& found) : reader_(reader), found_(found) {}

  void add(const std::string& id) {
    const PromptRecord record = reader_.prompt(id);
    const std::string object = "/prompts/" + id;
    if (const auto fault = record::fault_in_tokens(record, reader_.run().mode == "greedy"))
      found_.wrong.push_back({object + "/input_ids", *fault});
    if (reader_.run().mode == "follow") shifted_.add(record);
    if (const auto fault = record::fault_in_top(record)) found_.wrong.push_back({object + "/top", *fault});
    if (record.rows.empty()) found_.wrong.push_back({object, "has no rows"});
    if (const auto fault = reader_.run().mode == "score" ? record::fault_in_scored(record) : std::nullopt)
      found_.wrong.push_back({object + "/tokens", *fault});
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
           fmt::format(
               "in {} of {} rows the largest is that of the token {} the one that follows ({} are "
               "that one): are "
               "they one place off? Row i holds the logits after input_ids[i], which predict the next token",
               shift->so, shift->rows,
               shift->chose == record::ShiftedRows::Chose::token_before ? "before" : "after", shift->right)});
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
