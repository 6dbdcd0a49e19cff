#include "analysis/graft/graft_presenters.hpp"
#include "common/csv.hpp"

namespace shardrift::analysis {

void write_csv(std::ostream& out, const GraftTable& table) {
  CsvTable csv(out, {"put", "layer", "rows", "rows_differ", "elements_differ", "rows_moved", "flips",
                     "flips_taken", "kl_mean", "kl_taken", "rms"});
  const auto cells = [](const GraftDistance& one) {
    return std::vector<CsvTable::Cell>{{"rows", csv_cell(one.rows)},
                                       {"rows_differ", csv_cell(one.rows_differ)},
                                       {"elements_differ", csv_cell(one.elements_differ)},
                                       {"rows_moved", csv_cell(one.rows_moved)},
                                       {"flips", csv_cell(one.flips)},
                                       {"kl_mean", csv_cell(one.kl_mean)},
                                       {"rms", csv_cell(one.rms)}};
  };
  csv.add(cells(table.plain));
  for (const auto& one : table.layers) {
    auto line = cells(one.left);
    line.push_back({"put", csv_cell(table.operation)});
    if (one.layer >= 0) line.push_back({"layer", csv_cell(one.layer)});
    line.push_back({"flips_taken", csv_cell(table.plain.flips - one.left.flips)});
    line.push_back({"kl_taken", csv_cell(table.taken(one.left))});
    csv.add(line);
  }
}

}  // namespace shardrift::analysis
