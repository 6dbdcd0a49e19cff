// Score records with chosen logits, hidden states and checksums.
#pragma once
#include <filesystem>

#include "analysis/explain/explain_runs.hpp"
#include "analysis/measure/measure.hpp"
#include "record/reader.hpp"
#include "tests/unit/analysis/example_runs.hpp"

namespace shardrift::analysis::testing {

inline constexpr std::int64_t kLayers = 2;
inline constexpr std::int64_t kHidden = 3;

// All rows of a prompt of rows.size() tokens. Checksums are equal everywhere, hidden states 1, 2, 3 (times
// the stream's number plus 1): tests change what shall differ.
inline record::PromptRecord scored_prompt(const record::RunInfo& run, const std::string& id,
                                          std::int64_t index, const Rows& rows) {
  record::PromptRecord prompt = greedy_prompt(run, id, index, rows);
  prompt.stop = "given";
  prompt.prompt.tokens.assign(rows.size(), 1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    prompt.rows[i].position = static_cast<std::int32_t>(i);
    prompt.rows[i].input_id = 1;
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  prompt.checksums = {kLayers, count};
  prompt.checksums.sums.assign(static_cast<std::size_t>(record::point_count(kLayers) * count), 7);
  prompt.hidden = {kLayers + 1, kHidden, DType::float32, {}};
  for (std::int64_t stream = 0; stream <= kLayers; ++stream)
    for (std::int64_t row = 0; row < count; ++row)
      for (int i = 1; i <= kHidden; ++i)
        append_word(prompt.hidden.words, DType::float32, static_cast<double>(i * (stream + 1)));
  return prompt;
}

// Of two files, measured anew.
inline Explanation explanation_of(const std::filesystem::path& reference,
                                  const std::filesystem::path& candidate) {
  const auto r = record::Reader::open(reference);
  const auto c = record::Reader::open(candidate);
  return explain_runs(r, c, measure(r, c, {.use_kept = false, .keep = false}));
}

inline void change_sum(record::PromptRecord& prompt, record::Point point, std::int64_t row) {
  prompt.checksums
      .sums[static_cast<std::size_t>(record::index_of(point, kLayers) * prompt.checksums.rows + row)] += 1;
}

inline void set_hidden(record::PromptRecord& prompt, std::int64_t stream, std::int64_t row, std::int64_t i,
                       float value) {
  const auto at = (stream * prompt.checksums.rows + row) * kHidden + i;
  std::memcpy(prompt.hidden.words.data() + at * 4, &value, 4);
}

inline record::RunInfo score_run(const std::string& plan_flags = "", DType dtype = DType::float32) {
  record::RunInfo run = small_run(dtype);
  run.mode = "score";
  const auto replace = [&](const std::string& from, const std::string& to) {
    run.plan.replace(run.plan.find(from), from.size(), to);
  };
  if (dtype == DType::bfloat16) {
    replace(R"("dtype":"float32")", R"("dtype":"bfloat16")");
    replace(R"("logits_dtype":"float32")", R"("logits_dtype":"bfloat16")");
  }
  run.plan.insert(run.plan.size() - 1, plan_flags);  // later keys win
  return run;
}

}  // namespace shardrift::analysis::testing
