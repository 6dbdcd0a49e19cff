#include "analysis/envelope/envelope.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "analysis/measure/rows.hpp"
#include "common/error.hpp"

namespace shardrift::analysis {
namespace {

void require_same(const record::Reader& first, const record::Reader& other) {
  const auto& a = first.run().model;
  const auto& b = other.run().model;
  if (a.identity != b.identity || a.vocabulary != b.vocabulary)
    throw bad_data("{}: another model than {}'s", other.path().string(), first.path().string());
  if (first.prompt_ids() != other.prompt_ids())
    throw bad_data("{}: other prompts than {}'s", other.path().string(), first.path().string());
}

// Widens one row of one run.
class RowReader {
 public:
  explicit RowReader(const record::Reader& reader)
      : reader_(reader), row_(static_cast<std::size_t>(reader.run().model.vocabulary)) {}
  std::span<const double> read(const std::string& id, std::int64_t index) {
    reader_.read_logits(id, index, index + 1, words_);
    widen(reader_.run().logits_dtype, words_.data(), row_);
    return row_;
  }

 private:
  const record::Reader& reader_;
  std::vector<std::byte> words_;
  std::vector<double> row_;
};

PromptEnvelope envelope_of(const std::string& id, const std::vector<record::Reader>& runs,
                           const SpreadSink& sink) {
  std::vector<record::PromptRecord> records;
  std::vector<RowReader> readers;
  for (const auto& run : runs) {
    if (!run.has_logits(id))
      throw bad_data("{}: prompt '{}' has no logits (--record top)", run.path().string(), id);
    records.push_back(run.prompt(id));
    readers.emplace_back(run);
  }
  PromptEnvelope result{id, {}, static_cast<std::int64_t>(records.front().rows.size())};
  std::vector<double> lowest;
  std::vector<double> highest;
  for (std::size_t index = 0; index < records.front().rows.size(); ++index) {
    const auto& here = records.front().rows[index];
    const bool fed_alike =
        std::all_of(records.begin(), records.end(), [&](const record::PromptRecord& record) {
          return index < record.rows.size() && record.rows[index].input_id == here.input_id &&
                 record.rows[index].position == here.position;
        });
    if (!fed_alike) break;
    EnvelopeRow row{here.input_id, here.position, 0, 0, 0, 0, {}};
    for (std::size_t run = 0; run < runs.size(); ++run) {
      const auto values = readers[run].read(id, static_cast<std::int64_t>(index));
      if (run == 0) {
        lowest.assign(values.begin(), values.end());
        highest = lowest;
        row.margin = top_of(values).margin;
      }
      for (std::size_t i = 0; i < values.size(); ++i) {
        // NaN in any run is no spread.
        lowest[i] = std::isnan(values[i]) ? values[i] : std::min(lowest[i], values[i]);
        highest[i] = std::isnan(values[i]) ? values[i] : std::max(highest[i], values[i]);
      }
      const std::int32_t chosen = records[run].rows[index].chosen;
      if (std::find(row.chosen.begin(), row.chosen.end(), chosen) == row.chosen.end())
        row.chosen.push_back(chosen);
    }
    double sum = 0;
    for (std::size_t i = 0; i < lowest.size(); ++i) {
      const double spread = highest[i] == lowest[i] ? 0 : highest[i] - lowest[i];  // two infinities are alike
      sum += spread;
      if (std::isnan(spread) || spread > row.max_spread) {
        row.max_spread = spread;
        row.max_at = static_cast<std::int64_t>(i);
      }
    }
    row.mean_spread = sum / static_cast<double>(lowest.size());
    if (sink) sink(id, row, lowest, highest);
    result.rows.push_back(std::move(row));
  }
  return result;
}

}  // namespace

std::vector<PromptEnvelope> envelope(const std::vector<record::Reader>& runs, const SpreadSink& sink) {
  if (runs.size() < 2) throw usage_error("an envelope needs two runs or more");
  for (const auto& run : runs) require_same(runs.front(), run);
  std::vector<PromptEnvelope> prompts;
  for (const auto& id : runs.front().prompt_ids()) prompts.push_back(envelope_of(id, runs, sink));
  return prompts;
}

std::int64_t flips_of(const std::vector<PromptEnvelope>& prompts) {
  std::int64_t flips = 0;
  for (const auto& prompt : prompts)
    flips += std::count_if(prompt.rows.begin(), prompt.rows.end(),
                           [](const EnvelopeRow& row) { return row.chosen.size() > 1; });
  return flips;
}

}  // namespace shardrift::analysis
