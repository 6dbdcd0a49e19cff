// Text in a CSV file (RFC 4180).
#pragma once
#include <string>

namespace shardrift::analysis {

// As it is, or in quotes where it holds a comma, a quote or a line break.
std::string csv_cell(const std::string& text);

}  // namespace shardrift::analysis
