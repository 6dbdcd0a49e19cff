// Are lists of the most likely tokens such, and do they agree with the tokens that were chosen?
#pragma once
#include <optional>
#include <string>

#include "record/record.hpp"

namespace shardrift::record {

// The first row whose chosen token is not a most likely one of its list (at ties any of them may be), as a
// clause: "row 3 chose token 7, its list of the most likely tokens begins with 5 …"; else the first list that
// names a token twice, has no descending log-probabilities, or probabilities whose sum is more than 1.
// nullopt: none, or there are no lists.
std::optional<std::string> fault_in_top(const PromptRecord& record);

}  // namespace shardrift::record
