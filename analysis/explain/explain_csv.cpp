#include "analysis/explain/explain_presenters.hpp"

#include "common/csv.hpp"

namespace shardrift::analysis {
namespace {

using Cells = std::vector<CsvTable::Cell>;

Cells operator+(Cells a, const Cells& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string layer_cell(const record::Point& point) {
  return record::in_layer(point.operation) ? csv_cell(point.layer) : "";
}

Cells first_cells(const std::optional<record::Point>& first) {
  if (!first) return {};
  return {{"first_operation", std::string(name_of(first->operation))}, {"first_layer", layer_cell(*first)}};
}

Cells first_cells(const std::optional<FirstDifference>& first) {
  if (!first) return {};
  return first_cells(first->point) + Cells{{"first_prompt", csv_cell(first->prompt)},
                                           {"first_step", csv_cell(first->step)},
                                           {"first_position", csv_cell(first->position)}};
}

Cells stream_cells(const StreamGrowth& growth) {
  return {{"table", "layers"},
          {"layer", growth.stream == 0 ? "" : csv_cell(growth.stream - 1)},
          {"rows", csv_cell(growth.rows)},
          {"rows_differ", csv_cell(growth.rows_differ)},
          {"elements", csv_cell(growth.elements)},
          {"elements_differ", csv_cell(growth.elements_differ)},
          {"rms_reference", csv_cell(growth.rms_reference)},
          {"rms_difference", csv_cell(growth.rms_difference)},
          {"relative", csv_cell(growth.relative())},
          {"row_median", csv_cell(growth.row_median)},
          {"row_low", csv_cell(growth.row_low)},
          {"row_high", csv_cell(growth.row_high)}};
}

Cells group_cells(const RowGroup& group) {
  return Cells{{"prompts", csv_cell(group.prompts)},
               {"rows", csv_cell(group.rows)},
               {"rows_bit_equal", csv_cell(group.rows_bit_equal)},
               {"rms", csv_cell(group.rms)},
               {"max_abs", csv_cell(group.max_abs)},
               {"kl_mean", csv_cell(group.kl_mean)},
               {"flips", csv_cell(group.flips)}} +
         first_cells(group.first);
}

Cells difference_cells(const std::string& of, const LogitDifference& difference) {
  return {{of + "_rows_differ", csv_cell(difference.rows_differ)},
          {of + "_elements_differ", csv_cell(difference.elements_differ)},
          {of + "_bits", csv_cell(difference.bits)},
          {of + "_rms", csv_cell(difference.rms)},
          {of + "_kl_mean", csv_cell(difference.kl_mean)},
          {of + "_flips", csv_cell(difference.flips)}};
}

void add_lengths(CsvTable& table, const char* name, const std::vector<LengthChange>& changes) {
  for (const auto& change : changes)
    table.add(Cells{{"table", name},
                    {"shorter", csv_cell(change.shorter)},
                    {"longer", csv_cell(change.longer)},
                    {"rows", csv_cell(change.rows)},
                    {"rows_differ", csv_cell(change.rows_differ)}} +
              first_cells(change.first));
}

}  // namespace

void write_csv(std::ostream& out, const Explanation& explanation) {
  CsvTable table(out, {"table",
                       "operation",
                       "layer",
                       "position",
                       "begin",
                       "end",
                       "tokens",
                       "shorter",
                       "longer",
                       "prompts",
                       "rows",
                       "rows_differ",
                       "first_here",
                       "rows_bit_equal",
                       "elements",
                       "elements_differ",
                       "rms_reference",
                       "rms_difference",
                       "relative",
                       "row_median",
                       "row_low",
                       "row_high",
                       "rms",
                       "max_abs",
                       "kl_mean",
                       "flips",
                       "first_operation",
                       "first_layer",
                       "first_prompt",
                       "first_step",
                       "first_position"});
  if (explanation.first) table.add(Cells{{"table", "first_difference"}} + first_cells(explanation.first));
  for (const auto& operation : explanation.operations)
    if (operation.rows > 0)
      table.add({{"table", "operations"},
                 {"operation", std::string(name_of(operation.point.operation))},
                 {"layer", layer_cell(operation.point)},
                 {"rows", csv_cell(operation.rows)},
                 {"rows_differ", csv_cell(operation.rows_differ)},
                 {"first_here", csv_cell(operation.first_here)}});
  for (const auto& growth : explanation.streams) table.add(stream_cells(growth));
  for (const auto& group : explanation.positions)
    table.add(Cells{{"table", "positions"}, {"position", csv_cell(group.begin)}} + group_cells(group));
  for (const auto& group : explanation.ranges)
    table.add(
        Cells{{"table", "position_ranges"}, {"begin", csv_cell(group.begin)}, {"end", csv_cell(group.end)}} +
        group_cells(group));
  for (const auto& group : explanation.prompt_lengths)
    table.add(Cells{{"table", "prompt_lengths"}, {"tokens", csv_cell(group.begin)}} + group_cells(group));
  add_lengths(table, "reference_lengths", explanation.reference_lengths);
  add_lengths(table, "candidate_lengths", explanation.candidate_lengths);
}

void write_csv(std::ostream& out, const Ladder& ladder) {
  CsvTable table(out, {"table",
                       "name",
                       "kind",
                       "path",
                       "plan",
                       "shards",
                       "complete",
                       "prompts",
                       "rows",
                       "elements",
                       "step_rows_differ",
                       "step_elements_differ",
                       "step_bits",
                       "step_rms",
                       "step_kl_mean",
                       "step_flips",
                       "total_rows_differ",
                       "total_elements_differ",
                       "total_bits",
                       "total_rms",
                       "total_kl_mean",
                       "total_flips",
                       "share",
                       "first_operation",
                       "first_layer",
                       "first_prompt",
                       "first_step",
                       "first_position"});
  for (std::size_t i = 0; i < ladder.rungs.size(); ++i) {
    const auto& rung = ladder.rungs[i];
    Cells cells{{"table", "rungs"},
                {"name", csv_cell(rung.name)},
                {"kind", rung.kind ? std::string(name_of(*rung.kind)) : ""},
                {"path", csv_cell(rung.run.path)},
                {"plan", csv_cell(rung.run.plan)},
                {"shards", csv_cell(rung.run.shards)},
                {"complete", rung.run.complete ? "1" : "0"},
                {"prompts", csv_cell(ladder.prompts)},
                {"rows", csv_cell(ladder.rows)},
                {"elements", csv_cell(ladder.elements)}};
    if (i > 0)
      cells = std::move(cells) + difference_cells("step", rung.step) + difference_cells("total", rung.total) +
              Cells{{"share", csv_cell(rung.share)}} + first_cells(rung.first);
    table.add(cells);
  }
}

}  // namespace shardrift::analysis
