// A verdict for a terminal, and as JSON (schema "shardrift gate 1", docs/verdict.md).
#pragma once
#include <string>

#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

std::string verdict_text(const Verdict& verdict);
// Without the limits of each candidate: one table, the paragraph, the state.
std::string short_verdict_text(const Verdict& verdict);
std::string to_json(const Verdict& verdict);  // ends in a newline

}  // namespace shardrift::verdict
