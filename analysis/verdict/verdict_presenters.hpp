// A verdict for a terminal, as JSON (schema "shardrift gate 1", docs/verdict.md), and its limits as CSV.
#pragma once
#include <ostream>
#include <string>

#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

std::string verdict_text(const Verdict& verdict);
// Both begin with the answer. This one without the limits of each candidate: one table, one line each.
std::string short_verdict_text(const Verdict& verdict);
std::string verdict_json(const Verdict& verdict);  // ends in a newline
// One line a candidate and limit. Cells without a value are empty.
void write_verdict_csv(std::ostream& out, const Verdict& verdict);

}  // namespace shardrift::verdict
