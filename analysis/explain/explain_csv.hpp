// Explanations and ladders as one CSV table each, in long form: the column `table` says what a line is about,
// and columns that do not apply to it are empty. Columns are named as in the JSON; docs/explain.md lists
// them.
#pragma once
#include <ostream>

#include "analysis/explain/ladder.hpp"

namespace shardrift::analysis {

void write_csv(std::ostream& out, const Explanation& explanation);
void write_csv(std::ostream& out, const Ladder& ladder);

}  // namespace shardrift::analysis
