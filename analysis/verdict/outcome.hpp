// What becomes of one candidate's answers: the pieces that its line and the answer over all are made of.
#pragma once
#include <cstdint>
#include <string>

#include "analysis/verdict/verdict.hpp"

namespace shardrift::verdict {

// Worst first. open: no difference, but something is missing on one side. so_far: other bits, the same
// choices, and the rows of one side end, or its text parts, where the other's go on. same_numbers: the logits
// are of two dtypes, so that there are no bits to compare.
enum class Outcome { broken, changed, nothing, open, so_far, same_text, same_numbers, equal };
Outcome kind_of(const Candidate& candidate);

constexpr std::int64_t kCounted = 20;  // of fewer prompts, how many instead of a share

// A share of prompts in whole percents, without the sign; 0 and 100 only where it is none or all.
std::string whole(double share);
// The share of answers that change, of score runs the share of rows: what is worst among candidates.
double changed_share(const Candidate& candidate);
// "53% of answers (36 to 69) differ by token 32"
std::string changed_clause(const Candidate& candidate);
// "; 17 of 19 first differences stand at exact ties"; empty where that is not known.
std::string ties_clause(const Candidate& candidate);
// "would " where the text was not the candidate's own.
const char* would(const Candidate& candidate);
// "the same text"; of score runs "the same most likely token everywhere".
std::string same_text(const Candidate& candidate);
// "all 36 prompts"
std::string all_prompts(std::int64_t prompts);

}  // namespace shardrift::verdict
