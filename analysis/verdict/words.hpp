// Numbers and sentences of a verdict, for people.
#pragma once
#include <cstddef>
#include <string>

#include "analysis/statistics/bootstrap.hpp"
#include "analysis/verdict/thresholds.hpp"
#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

// "16.3%", "0.0024 nats", "0.03x"; three digits.
std::string amount(double value, Unit unit);
// "16.3% (10.2% to 24.1%)"; without an interval the value alone.
std::string amount(const statistics::Estimate& estimate, Unit unit);
// "1 prompt", "3 prompts".
std::string counted(std::int64_t count, const std::string& what);

// What the sentences of a Verdict say, from its values; judge() calls these last.
std::string headline_of(const Candidate& candidate);
std::string power_of(const Verdict& verdict);
std::string recommendation_of(const Verdict& verdict);
std::string answer_of(const Verdict& verdict);
std::string headline_of(const Verdict& verdict);
std::string paragraph_of(const Verdict& verdict);

}  // namespace shardrift::verdict
