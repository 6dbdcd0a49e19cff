// Generated tokens beside the rows that chose them: do they belong together? All after choose_all; of texts
// that were given, nothing was chosen.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "foreign/foreign_run.hpp"

namespace shardrift::foreign {

// Rows of logits that are off by one: nearly no row chose its token, and nearly all chose the one before or
// after it. Throws bad_data saying which where that is so of all prompts together, and what to do where the
// model does choose the token that it was fed. Of single prompts a sentence each.
std::vector<std::string> check_places(const ForeignRun& run);

// How many generated tokens are not what their row chose, which makes the mode follow, as a sentence;
// nullopt: none. The last generated token is not looked at: no row was fed it.
std::optional<std::string> sampled_tokens(const ForeignRun& run);

}  // namespace shardrift::foreign
