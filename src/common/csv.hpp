// CSV files (RFC 4180).
#pragma once
#include <concepts>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardrift {

// A text as it is, or in quotes where it holds a comma, a quote or a line break.
std::string csv_cell(const std::string& text);
// The shortest form that reads back exactly; empty where it has no value (NaN, infinite).
std::string csv_cell(double value);
template <std::integral Number>
std::string csv_cell(Number value) {
  return std::to_string(value);
}

// A file with more columns than most of its lines fill: a line's other cells are empty.
class CsvTable {
 public:
  using Cell = std::pair<std::string, std::string>;  // a column, and what csv_cell made

  CsvTable(std::ostream& out, std::vector<std::string_view> columns);  // writes the head
  void add(const std::vector<Cell>& cells);                            // columns of the head, each once

 private:
  std::ostream& out_;
  std::vector<std::string_view> columns_;
};

}  // namespace shardrift
