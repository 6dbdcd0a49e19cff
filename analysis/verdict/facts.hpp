// What sentences about a candidate say beside its statistics: what it is, and how its answers part.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "analysis/measure/measurement.hpp"

namespace shardrift::verdict {

// What the candidate's plan does that the reference's does not: from its plan, not from a plan's description.
struct Arrangement {
  bool known = false;      // else: a plan of another version
  bool same_plan = false;  // as the reference's
  int tensor_parallel = 1;
  int pipeline = 1;
  int replicas = 1;
  int shards = 1;
  std::string device = "rank";  // what ranks are: "GPU" or "rank"
  std::string numerics;         // "float16 instead of bfloat16"; empty where it is the same
  bool predicted = false;       // on fewer devices; the numbers above are those of the plan it stands for
};

struct Facts {
  Arrangement arrangement;
  std::string mode;                // of the candidate: greedy | follow | score
  bool generates = false;          // both sides: there is text
  bool complete = true;            // both records
  std::int64_t missing = 0;        // prompts that one side has
  std::int64_t left_out = 0;       // prompts that the two were fed other tokens for
  std::int64_t contradictory = 0;  // prompts of which a record contradicts itself
  std::int64_t not_compared() const { return missing + left_out + contradictory; }
  std::int64_t rows_missing = 0;  // prompts of which one side has more rows (analysis::RowsEnd::fewer)
  std::int64_t fed_apart = 0;     // prompts fed other tokens from a row on (RowsEnd::other_tokens)
  // Prompts without logits on both sides, of which a record is an engine's: no hash speaks for its logits.
  std::int64_t choices_alone = 0;
  std::int64_t bits_unknown = 0;   // prompts without a difference, of which not every logit was recorded
  bool other_dtypes = false;       // the two records' logits are of two dtypes: no bits to compare
  std::int64_t same_numbers = 0;   // prompts of which every number is the same then (analysis::same_numbers)
  bool probabilities = false;      // a record's rows are no logits: nothing passes on them
  std::int64_t without_value = 0;  // rows of NaN or infinite logits on a side, where bits are equal too
  std::int64_t parted = 0;         // prompts with a first difference of the chosen tokens
  std::int64_t parted_measured = 0;  // of these, with logits on both sides there
  std::int64_t parted_at_ties = 0;   // of the measured, at an exact tie in one of the runs
  bool ties_known = true;            // every row with another token has logits on both sides
  // Number of the first differing token (score: row), from 1.
  std::optional<std::int64_t> earliest;
  std::string earliest_prompt;
  double median_parted = analysis::kNoValue;  // of the prompts that parted
};

// Whether it is known of every row with another token if it stands at an exact tie.
bool ties_known(const analysis::Measurement& measurement);

Facts facts_of(const analysis::Measurement& measurement);

}  // namespace shardrift::verdict
