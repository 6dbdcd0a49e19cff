// What compare prints, and the same as JSON.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/text/token_table.hpp"

namespace shardrift::analysis {

// One candidate's results with the table that goes with them.
struct Section {
  Measurement measurement;
  std::optional<TokenTable> table;
};

// "reference  ref.h5: TP=1, float32, cpu; greedy, 4 prompts, logits float32"
std::string head_text(const record::Reader& reference);
std::string section_text(const Section& section);
// One row a candidate.
std::string summary_text(const std::vector<Section>& sections);
// The same numbers; those that have no value (no logits, NaN) are null. Ends in a newline.
std::string to_json(const record::Reader& reference, const std::vector<Section>& sections);

}  // namespace shardrift::analysis
