// Were two runs fed the same tokens?
#pragma once
#include <optional>
#include <string>

#include "record/record.hpp"

namespace shardrift::analysis {

// Where the tokens before the first common position of the rows differ, as a clause; nullopt where they are
// the same: then rows of equal token and position (align) saw the same text. One record's prompt may go on
// where the other's rows do: a text that was scored holds what another run generated.
std::optional<std::string> other_tokens(const record::PromptRecord& reference,
                                        const record::PromptRecord& candidate);

}  // namespace shardrift::analysis
