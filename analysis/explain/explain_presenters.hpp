// Explanations and ladders as text, JSON (docs/explain.schema.json) and CSV.
#pragma once
#include <ostream>
#include <string>

#include "analysis/explain/ladder.hpp"

namespace shardrift::analysis {

std::string explanation_text(const Explanation& explanation);
std::string ladder_text(const Ladder& ladder);

std::string explanation_json(const Explanation& explanation);
std::string ladder_json(const Ladder& ladder);

// One table each, in long form: the column `table` says what a line is about, and columns that do not apply
// to it are empty. Columns are named as in the JSON; docs/explain.md lists them.
void write_csv(std::ostream& out, const Explanation& explanation);
void write_csv(std::ostream& out, const Ladder& ladder);

}  // namespace shardrift::analysis
