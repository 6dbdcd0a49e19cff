// A server's answer as rows of a record of level top.
#pragma once
#include "foreign/answer.hpp"
#include "foreign/foreign_run.hpp"

namespace shardrift::foreign {

// answer.prompt has to be there. Every row has as many most likely tokens as the row that has the fewest.
// Throws bad_data naming line and place: a token outside the vocabulary, one that is there twice, nothing
// generated and nothing given.
ForeignPrompt prompt_of_answer(const Answer& answer, std::int64_t vocabulary);

}  // namespace shardrift::foreign
