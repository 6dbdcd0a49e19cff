// Do a prompt's tokens and its rows belong together?
#pragma once
#include <optional>
#include <string>

#include "record/record.hpp"

namespace shardrift::record {

// The first row that was fed another token than the prompt has at its position, or, where greedy, than the
// row before it chose, as a clause: "row 0 chose token 3, but row 1 was fed 7: …". nullopt: none.
std::optional<std::string> fault_in_tokens(const PromptRecord& record, bool greedy);

// Of a record of mode score, whose tokens are the whole text: rows behind it, as a clause. nullopt: none.
std::optional<std::string> fault_in_scored(const PromptRecord& record);

}  // namespace shardrift::record
