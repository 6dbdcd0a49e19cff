// A server's answer as rows of a record of level top.
#pragma once
#include "foreign/answer.hpp"
#include "foreign/foreign_run.hpp"

namespace shardrift::foreign {

// answer.prompt has to be there. prompt_rows: rows of the prompt's tokens, too, where they are given; without
// it at least one token was generated. Every row has as many most likely tokens as the row that has the
// fewest. Throws bad_data naming line and place: a token outside the vocabulary, one that is there twice,
// nothing generated and nothing given.
ForeignPrompt prompt_of_answer(const Answer& answer, std::int64_t vocabulary, bool prompt_rows);

// The row whose list of the most likely tokens is so short that other rows' are cut to it, as a clause: "the
// list of generated token 3 has 1 of the most likely tokens, others up to 20". A sampled token that a server
// appends to its k most likely makes no list longer. nullopt: no list is cut.
std::optional<std::string> cut_lists(const Answer& answer, bool prompt_rows);

}  // namespace shardrift::foreign
