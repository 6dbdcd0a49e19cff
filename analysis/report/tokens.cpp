// What the runs said, side by side.
#include <map>

#include "analysis/report/payload.hpp"

#include "common/text_columns.hpp"

namespace shardrift::report {
namespace {

constexpr std::size_t kTokenWidth = 32;

Json cell_json(const std::optional<analysis::TokenCell>& cell) {
  return cell ? Json{cell->id, number(cell->probability.value_or(analysis::kNoValue))} : Json(nullptr);
}

}  // namespace

// {strings: {id: text…}, tables: [{run, prompt, rows: [[step, position, [id, p], [id, p], here]…]}…]}
Json tokens_json(const Report& report) {
  std::map<std::int32_t, const std::string*> used;
  const auto use = [&](const std::optional<analysis::TokenCell>& cell) {
    if (cell && !cell->text.empty()) used.emplace(cell->id, &cell->text);
  };
  Json tables = Json::array();
  for (const auto& story : report.tokens) {
    Json rows = Json::array();
    for (const auto& row : story.table.rows) {
      use(row.reference);
      use(row.candidate);
      rows.push_back(
          {row.step, row.position, cell_json(row.reference), cell_json(row.candidate), row.here ? 1 : 0});
    }
    tables.push_back({{"run", story.run}, {"prompt", story.table.prompt}, {"rows", rows}});
  }
  Json strings = Json::object();
  for (const auto& [id, token] : used) strings.push_back({std::to_string(id), quoted(*token, kTokenWidth)});
  return {{"strings", strings}, {"tables", tables}};
}

}  // namespace shardrift::report
