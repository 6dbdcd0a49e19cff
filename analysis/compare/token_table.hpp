// The side-by-side token table: what two runs said, and where they first differ.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

struct TokenCell {
  std::int32_t id = 0;                // the chosen token
  std::string text;                   // as the tokenizer spells it, raw; empty where unknown
  std::optional<double> probability;  // in this run; nullopt where it was not recorded
};

struct TokenRow {
  std::int64_t step = 0;               // row of the reference
  std::int32_t position = 0;           // of the fed token
  std::optional<TokenCell> reference;  // nullopt past the end of a run
  std::optional<TokenCell> candidate;
  bool here = false;  // the first difference
};

struct TokenTable {
  std::string prompt;
  std::vector<TokenRow> rows;
};

struct TableChoice {
  std::optional<std::string> prompt;  // else the prompt with the earliest flip
  std::int64_t steps = 12;            // rows of the table
};

// nullopt where no prompt was named and no token differs. Rows after the first difference are paired by
// position, although the runs had been fed different tokens by then. Throws usage_error for a prompt that was
// not compared.
std::optional<TokenTable> token_table(const record::Reader& reference, const record::Reader& candidate,
                                      const Measurement& measurement, const TableChoice& choice);

}  // namespace shardrift::analysis
