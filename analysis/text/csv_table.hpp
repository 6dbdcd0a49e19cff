// A CSV file with more columns than most of its lines fill.
#pragma once
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analysis/text/csv_cell.hpp"

namespace shardrift::analysis {

// Each line fills some columns; its other cells are empty.
class CsvTable {
 public:
  using Cell = std::pair<std::string, std::string>;  // a column, and what csv_cell made

  CsvTable(std::ostream& out, std::vector<std::string_view> columns);  // writes the head
  void add(const std::vector<Cell>& cells);                            // columns of the head, each once

 private:
  std::ostream& out_;
  std::vector<std::string_view> columns_;
};

}  // namespace shardrift::analysis
