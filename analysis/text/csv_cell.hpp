// Cells of a CSV file (RFC 4180).
#pragma once
#include <concepts>
#include <string>

namespace shardrift::analysis {

// As it is, or in quotes where it holds a comma, a quote or a line break.
std::string csv_cell(const std::string& text);
// The shortest form that reads back exactly; empty where it has no value (NaN, infinite).
std::string csv_cell(double value);
template <std::integral Number>
std::string csv_cell(Number value) {
  return std::to_string(value);
}

}  // namespace shardrift::analysis
