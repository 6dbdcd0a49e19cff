// Answers of llama-server's own /completion:
//   completion_probabilities [{id, token, logprob, top_logprobs: [{id, token, logprob}]}], tokens, stop_type
// As llama.cpp 0.5.0-dev gave them to {"prompt": [ids], "n_probs": 10, "return_tokens": true}.
#pragma once
#include "common/json_reader.hpp"
#include "foreign/answer.hpp"
#include "foreign/token_texts.hpp"

namespace shardrift::foreign {

bool is_llama_server(const JsonObject& response);
// Throws bad_data naming line, key and value, and what to ask the server for.
Answer read_llama_server(const JsonObject& response, const TokenTexts& texts);

}  // namespace shardrift::foreign
