// Numbers and sentences of a verdict, for people.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "analysis/statistics/bootstrap.hpp"
#include "analysis/verdict/thresholds.hpp"
#include "analysis/verdict/verdict.hpp"
#include "common/counted.hpp"

namespace shardrift::verdict {

// "16.3%", "0.0024 nats", "0.03x"; three digits.
std::string amount(double value, Unit unit);
// "16.3% (10.2% to 24.1%)"; without an interval the value alone.
std::string amount(const statistics::Estimate& estimate, Unit unit);
// What could go unseen in so many prompts: "fewer than 9.74% of prompts".
std::string unseen_in(std::int64_t prompts, double confidence);

// "a, b and c"; of more than `most` the first ones "and 3 more".
std::string listed(const std::vector<std::string>& names, std::size_t most = 4);

// Answers changed after `tokens` tokens.
struct ChangedAnswers {
  statistics::Estimate share;
  std::int64_t tokens = 0;
};
// By the last token at which a text changed or was cut, whatever a policy asks about; nullopt where no text
// was compared.
std::optional<ChangedAnswers> changed_answers(const Candidate& candidate);
// By that token, or by the last one of which something is known.
std::optional<ChangedAnswers> changed_answers_by(const Candidate& candidate, std::int64_t tokens);

// What the sentences of a Verdict say, from its values; judge() calls these last.
std::string headline_of(const Candidate& candidate);
std::string outcome_of(const Candidate& candidate);  // outcome.cpp
std::string distance_of(const Candidate& candidate, const std::vector<std::string>& yardsticks);
std::string power_of(const Verdict& verdict);
std::string recommendation_of(const Verdict& verdict);
std::string answer_of(const Verdict& verdict);  // answer.cpp
std::string headline_of(
    const Verdict& verdict);  // "Policy: preset serving tolerates …: tp2 keeps every limit"
std::string noise_of(const Verdict& verdict);
std::string paragraph_of(const Verdict& verdict);

}  // namespace shardrift::verdict
