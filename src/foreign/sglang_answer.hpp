// Answers of SGLang's own API (/generate with return_logprob and top_logprobs_num):
//   meta_info {prompt_tokens, finish_reason, output_token_logprobs, output_top_logprobs,
//   input_token_logprobs, input_top_logprobs}: lists of [log-probability, id, text], one a token; the
//   prompt's whole with logprob_start_len 0.
// Read off SGLang 0.5: srt/managers/tokenizer_manager.py.
#pragma once
#include "common/json_reader.hpp"
#include "foreign/answer.hpp"

namespace shardrift::foreign {

bool is_sglang(const JsonObject& response);
// Throws bad_data naming line, key and value, and what to ask the server for.
Answer read_sglang(const JsonObject& response);

}  // namespace shardrift::foreign
