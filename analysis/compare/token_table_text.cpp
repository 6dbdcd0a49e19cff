#include <fmt/format.h>

#include <cmath>

#include "analysis/compare/comparison_presenters.hpp"
#include "common/text_columns.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::size_t kTokenWidth = 20;

std::vector<std::string> cells_of(const std::optional<TokenCell>& cell) {
  if (!cell) return {"", "", ""};
  return {std::to_string(cell->id), quoted(cell->text, kTokenWidth),
          cell->probability && !std::isnan(*cell->probability)
              ? fmt::format("{:.4f}%", 100 * *cell->probability)
              : "-"};
}

}  // namespace

std::string token_table_text(const TokenTable& table) {
  TextColumns text({{"token", Align::right},
                    {"position", Align::right},
                    {"reference", Align::right},
                    {"text", Align::left},
                    {"p", Align::right},
                    {"candidate", Align::right},
                    {"text", Align::left},
                    {"p", Align::right},
                    {"", Align::left}});
  for (const auto& row : table.rows) {
    std::vector<std::string> cells{std::to_string(row.step + 1), std::to_string(row.position + 1)};
    for (const auto* side : {&row.reference, &row.candidate})
      for (auto& cell : cells_of(*side)) cells.push_back(std::move(cell));
    cells.push_back(row.here ? "<-- here" : "");
    text.add(std::move(cells));
  }
  return text.str();
}

}  // namespace shardrift::analysis
