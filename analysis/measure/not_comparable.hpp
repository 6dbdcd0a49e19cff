// What of two records cannot be held against each other, and what is taken on trust: said before any number.
#pragma once
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"

namespace shardrift::analysis {

// The setting that says what a record's logits are where they are no logits: "log-probabilities, …".
inline constexpr const char* kLogitsSetting = "logits";

// Sentences without a period, the gravest first: rows of probabilities, prompts of one record only, other
// tokens, a record that contradicts itself, a generated text beside a scored one, no logits, other dtypes,
// log-probabilities beside logits, other or unknown weights. Empty: everything is comparable.
std::vector<std::string> not_comparable(const Measurement& measurement);
// A heading and a line for each; "" where there is none.
std::string not_comparable_text(const std::vector<std::string>& sentences);

}  // namespace shardrift::analysis
