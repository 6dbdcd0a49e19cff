// Two-run files with chosen logits, for tests of compare.
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/record/example_record.hpp"

namespace shardrift::analysis::testing {

using Rows = std::vector<std::vector<double>>;  // [steps][vocabulary]

inline void append_word(std::vector<std::byte>& out, DType dtype, double value) {
  const auto put = [&](const auto& word) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&word);
    out.insert(out.end(), bytes, bytes + sizeof(word));
  };
  if (dtype == DType::float64)
    put(value);
  else if (dtype == DType::bfloat16)
    put(bfloat16_from_float(static_cast<float>(value)));
  else
    put(static_cast<float>(value));
}

inline std::vector<std::byte> words_of(DType dtype, const std::vector<double>& row) {
  std::vector<std::byte> words;
  for (const double value : row) append_word(words, dtype, value);
  return words;
}

// A greedy prompt: row 0 is fed the last prompt token (9 tokens, so position 8), later rows what was chosen.
inline record::PromptRecord greedy_prompt(const record::RunInfo& run, const std::string& id,
                                          std::int64_t index, const Rows& rows, bool with_logits = true) {
  record::PromptRecord record;
  record.prompt = {id, index, "once", "text", {1, 2, 3, 4, 0, 1, 2, 3, 1}};
  record.stop = "length";
  std::int32_t input = 1;
  Sha256 hash;
  record.top.k = 1;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto chosen =
        static_cast<std::int32_t>(std::max_element(rows[i].begin(), rows[i].end()) - rows[i].begin());
    record::Row row;
    row.input_id = input;
    row.position = 8 + static_cast<std::int32_t>(i);
    row.chosen = chosen;
    record.rows.push_back(row);
    input = chosen;
    const auto words = words_of(run.logits_dtype, rows[i]);
    hash.update(words.data(), words.size());
    record.top.ids.push_back(chosen);
    double sum = 0;
    for (const double value : rows[i]) sum += std::exp(value - rows[i][static_cast<std::size_t>(chosen)]);
    record.top.log_probabilities.push_back(static_cast<float>(-std::log(sum)));
    if (with_logits) record.logits.insert(record.logits.end(), words.begin(), words.end());
  }
  record.hash = hash.hex();
  return record;
}

inline record::RunInfo small_run(DType dtype = DType::float32, int shards = 1) {
  record::RunInfo run = record::testing::example_run(dtype, 5);
  run.model.vocab = {"<s>", "\xC4\xA0the",
                     "\xC4\xA0"
                     "a",
                     "line\n", "\xFF\"q"};
  const std::string count = std::to_string(shards);
  run.plan =
      R"({"accumulate":"message","batch":1,"device":"cpu","dtype":"float32","logits_dtype":"float32",)"
      R"("partial":"model","pipeline":1,"reduction":"native","replicas":1,"row_linear":"reduce","shards":)" +
      count + R"(,"stage_layers":[2],"tensor_parallel":)" + count + "}";
  return run;
}

}  // namespace shardrift::analysis::testing
