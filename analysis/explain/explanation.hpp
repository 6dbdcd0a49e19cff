// Where two runs begin to differ and how the difference grows, as plain values: what `shardrift explain`
// prints and the report draws. docs/explain.md says how to read them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "record/operations.hpp"

namespace shardrift::analysis {

// The outputs of one operation, over all compared rows of both runs.
struct OperationDifference {
  record::Point point;
  std::int64_t rows = 0;         // compared
  std::int64_t rows_differ = 0;  // whose output is another
  std::int64_t first_here = 0;   // rows in which this is the first operation whose output is another
};

// The first operation in running order whose output differs in any row, and the first such row.
struct FirstDifference {
  record::Point point;
  std::string prompt;
  std::int64_t step = 0;      // row of the reference
  std::int32_t position = 0;  // of the token fed there
};

// The residual stream after the embedding (stream 0) or after layer stream - 1, over all compared rows.
struct StreamGrowth {
  std::int64_t stream = 0;
  std::int64_t rows = 0;
  std::int64_t rows_differ = 0;      // in any bit; between dtypes: in any value
  std::int64_t elements = 0;         // with a finite value in both runs
  std::int64_t elements_differ = 0;  // of all elements
  double rms_reference = 0;          // sqrt(mean x²)
  double rms_difference = 0;         // sqrt(mean (y - x)²)
  // The same ratio row by row: its median and its 10th and 90th percentile (of the rows that have one).
  double row_median = kNoValue;
  double row_low = kNoValue;
  double row_high = kNoValue;
  // rms_difference / rms_reference; NaN where the reference is zero
  double relative() const { return rms_reference > 0 ? rms_difference / rms_reference : kNoValue; }
};

// The same tokens at the same positions, once in a prompt and once in a longer one that begins with it:
// causal attention makes them the same numbers, so where bits differ, a kernel was chosen by the number of
// rows.
struct LengthChange {
  std::int64_t shorter = 0;  // tokens of the two prompts
  std::int64_t longer = 0;
  std::int64_t rows = 0;  // that both have
  std::int64_t rows_differ = 0;
  std::optional<record::Point> first;  // the first operation that differs in any of them
};

// Rows that have something in common: a range of positions, or a prompt length.
struct RowGroup {
  std::int64_t begin = 0;  // positions [begin, end), or prompts of begin tokens (end = begin + 1)
  std::int64_t end = 0;
  std::int64_t prompts = 0;
  std::int64_t rows = 0;  // compared, with logits in both files
  std::int64_t rows_bit_equal = 0;
  std::int64_t flips = 0;                // rows with another chosen token
  double rms = kNoValue;                 // of Δlogit over all elements of these rows
  double max_abs = kNoValue;             // largest |Δlogit|
  double kl_mean = kNoValue;             // nats
  std::optional<FirstDifference> first;  // of a prompt length: in these rows; only with checksums in both
};

struct Explanation {
  RunSummary reference;
  RunSummary candidate;
  std::vector<std::string> not_comparable;  // analysis/measure/not_comparable.hpp
  std::vector<Difference> differences;      // in plan and environment
  // Why something is left out or means less than it seems: other dtypes, no checksums, other shards, ….
  std::vector<std::string> notes;

  // From checksums; empty where one of the files has none, or where they cannot be compared.
  std::vector<OperationDifference> operations;  // in running order
  std::optional<FirstDifference> first;
  bool partials_compared =
      false;  // the shards' own products, which only runs with equal shards have in common

  std::vector<StreamGrowth> streams;  // from hidden states; empty where one of the files has none
  // From logits; empty where one of the files has none.
  std::vector<RowGroup> positions;       // one a position, ascending
  std::vector<RowGroup> ranges;          // of positions that double in length: 0, 1, 2-3, 4-7, …
  std::vector<RowGroup> prompt_lengths;  // ascending
  // Of score files with checksums whose prompts begin alike, each length against the next shorter one.
  std::vector<LengthChange> reference_lengths;
  std::vector<LengthChange> candidate_lengths;

  // The first residual stream that differs in any row: what is known without checksums.
  std::optional<std::int64_t> first_stream() const;
};

}  // namespace shardrift::analysis
