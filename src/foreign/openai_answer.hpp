// Answers of OpenAI-style servers (vLLM's, SGLang's and others'):
//   completions   choices[0].logprobs {tokens, token_logprobs, top_logprobs: [{text: log-probability}]}
//   chat          choices[0].logprobs.content [{token, logprob, top_logprobs: [{token, logprob}]}]
//   llama-server  the same of both, with an id beside each token
//   vLLM beside   prompt_logprobs [null, {"id": {logprob, rank, decoded_token}}, …], prompt_token_ids,
//   token_ids
//                 (of the answer or of its choice), "token_id:123" as tokens
// Read off vLLM 0.11: entrypoints/openai/{protocol,serving_completion,serving_chat}.py; asked live: vLLM
// 0.32, llama-server 0.5.0-dev.
#pragma once
#include "common/json_reader.hpp"
#include "foreign/answer.hpp"
#include "foreign/token_texts.hpp"

namespace shardrift::foreign {

bool is_openai(const JsonObject& response);
// Throws bad_data naming line, key and value, and what to ask the server for.
Answer read_openai(const JsonObject& response, const TokenTexts& texts);

// Adds to answer.generated the entries [{token, id?, logprob, top_logprobs?}] of holder's list `key`; ids:
// the same tokens' where the server says them elsewhere too.
void read_entries(const JsonObject& holder, const char* key, const TokenTexts& texts,
                  const std::optional<std::vector<std::int32_t>>& ids, Answer& answer);

// llama-server says nothing of a token that ends within a character. Where `made` tokens were generated and
// answer.generated has fewer, those up to the first that is missing are kept, as far as `tokens`, all of
// them, tell which that is, and answer.incomplete says so.
void keep_known(Answer& answer, std::int64_t made, const std::vector<std::int32_t>& tokens);

}  // namespace shardrift::foreign
