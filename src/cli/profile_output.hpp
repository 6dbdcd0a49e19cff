// Collective profiles and their differences, for people and for scripts.
#pragma once
#include <string>

#include "analysis/near_ties/near_ties.hpp"
#include "parallel/profile/profile_diff.hpp"

namespace shardrift::cli {

// Each probed message as a bar along its elements, a letter for each order; what the letters stand for.
std::string profile_text(const CollectiveProfile& profile);

// Whether messages that both know have the same sums, in a line.
std::string profile_diff_answer(const ProfileDiff& diff);
// In which fields and messages the two differ. rows: messages printed, and of each the orders of most
// elements.
std::string profile_diff_text(const ProfileDiff& diff, const std::string& a, const std::string& b,
                              std::size_t rows);
// ties, run: of a record; null where there is none, where nothing was run.
std::string profile_diff_json(const ProfileDiff& diff, const std::string& a, const std::string& b,
                              const analysis::NearTies* ties, const analysis::OrderRun* run);

}  // namespace shardrift::cli
