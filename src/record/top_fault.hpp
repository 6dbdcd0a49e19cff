// Does a list of the most likely tokens agree with the token that was chosen?
#pragma once
#include <optional>
#include <string>

#include "record/record.hpp"

namespace shardrift::record {

// The first row whose chosen token is not a most likely one of its list (at ties any of them may be), as a
// clause: "row 3 chose token 7, its list of the most likely tokens begins with 5 …". nullopt: none, or there
// are no lists.
std::optional<std::string> fault_in_top(const PromptRecord& record);

}  // namespace shardrift::record
