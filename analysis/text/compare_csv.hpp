// Every compared row as CSV (RFC 4180): one line a candidate, prompt and step; docs/compare.md names the
// columns. Numbers without a value are empty cells.
#pragma once
#include <ostream>

#include "analysis/measure/measurement.hpp"

namespace shardrift::analysis {

void write_csv_head(std::ostream& out);
void write_csv_rows(std::ostream& out, const Measurement& measurement);

}  // namespace shardrift::analysis
