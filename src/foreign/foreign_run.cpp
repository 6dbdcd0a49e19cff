#include "foreign/foreign_run.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "common/argmax.hpp"
#include "common/error.hpp"
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

void choose_all(ForeignRun& run) {
  const auto row_bytes = static_cast<std::size_t>(run.vocabulary) * size_of(run.dtype);
  const auto together = std::max<std::int64_t>(1, kBlockBytes / static_cast<std::int64_t>(row_bytes));
  std::vector<std::byte> words;
  for (auto& prompt : run.prompts) {
    if (!prompt.logits) continue;
    auto& rows = prompt.record.rows;
    const auto count = static_cast<std::int64_t>(rows.size());
    for (std::int64_t begin = 0; begin < count; begin += together) {
      const auto end = std::min(count, begin + together);
      prompt.logits(begin, end, words);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::span<const std::byte> row(words.data() + static_cast<std::size_t>(i - begin) * row_bytes,
                                             row_bytes);
        const Choice choice = choose(row, run.dtype);
        if (!choice.finite) refuse_value(prompt, i, row, run.dtype, run.vocabulary);
        rows[static_cast<std::size_t>(i)].chosen = choice.token;
      }
    }
    for (std::size_t i = 1; i < rows.size(); ++i)
      if (rows[i].input_id == kChosenBefore) rows[i].input_id = rows[i - 1].chosen;
  }
}

std::string mode_of(const ForeignRun& run) {
  if (run.scored) return "score";
  for (const auto& prompt : run.prompts) {
    const auto& rows = prompt.record.rows;
    for (std::size_t i = 1; i < rows.size(); ++i)
      if (rows[i].input_id != rows[i - 1].chosen) return "follow";
  }
  return "greedy";
}

}  // namespace shardrift::foreign
