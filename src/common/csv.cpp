#include "common/csv.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace shardrift {

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

std::string csv_cell(double value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "";
}

CsvTable::CsvTable(std::ostream& out, std::vector<std::string_view> columns)
    : out_(out), columns_(std::move(columns)) {
  out_ << fmt::format("{}\n", fmt::join(columns_, ","));
}

void CsvTable::add(const std::vector<Cell>& cells) {
  std::vector<std::string> line(columns_.size());
  for (const auto& [name, cell] : cells) {
    const auto column = std::find(columns_.begin(), columns_.end(), name);
    if (column == columns_.end()) throw std::logic_error(fmt::format("CSV without a column '{}'", name));
    line[static_cast<std::size_t>(column - columns_.begin())] = cell;
  }
  out_ << fmt::format("{}\n", fmt::join(line, ","));
}

}  // namespace shardrift
