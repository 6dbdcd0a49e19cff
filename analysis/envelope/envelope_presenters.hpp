// An envelope as text, JSON and CSV.
#pragma once
#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

#include "analysis/envelope/envelope.hpp"
#include "record/reader.hpp"

namespace shardrift::analysis {

// The `rows` positions with another token or the largest spread, and a last line about all.
std::string envelope_text(const std::vector<PromptEnvelope>& prompts, const std::vector<record::Reader>& runs,
                          std::size_t rows);
std::string envelope_json(const std::vector<PromptEnvelope>& prompts, const std::vector<std::string>& files);
// Writes the head now, and a line for every logit that it is given.
SpreadSink envelope_csv(std::ostream& out);

}  // namespace shardrift::analysis
