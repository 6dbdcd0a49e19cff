// Comparisons as text, JSON (docs/compare.schema.json) and CSV.
#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "analysis/compare/comparison.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// "reference  ref.h5: TP=1, float32, cpu; greedy, 4 prompts, logits float32"
std::string head_text(const record::Reader& reference);
std::string comparison_text(const Comparison& comparison);
// Where routes were not compared, why; empty where neither model is a mixture of experts.
std::string routes_text(const Measurement& measurement);
// One row a candidate.
std::string summary_text(const std::vector<Comparison>& comparisons);
// One line a row, columns aligned, ending in a newline.
std::string token_table_text(const TokenTable& table);

// The same numbers; those that have no value (no logits, NaN) are null. Ends in a newline.
std::string comparisons_json(const record::Reader& reference, const std::vector<Comparison>& comparisons);

// Every compared row (RFC 4180): one line a candidate, prompt and step; docs/compare.md names the columns.
// Numbers without a value are empty cells.
void write_csv_head(std::ostream& out);
void write_csv_rows(std::ostream& out, const Measurement& measurement);

}  // namespace shardrift::analysis
