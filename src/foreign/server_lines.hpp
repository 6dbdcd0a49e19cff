// Answers of servers, one JSON object a line: what /v1/completions, /v1/chat/completions (openai_answer.hpp)
// or SGLang's /generate (sglang_answer.hpp) returned, as it is; or {"id": "p0", "response": {…}}; or a line
// of a batch's output,
// {"custom_id": "p0", "response": {"body": {…}}}. Without ids the n-th answer is of the n-th prompt: then
// there have to be as many of each.
//
// Rows are of the generated tokens. Log-probabilities of the prompt's own tokens become rows where no answer
// has more than one generated token, as engines answer who only wants a text scored, or where prompt_rows
// asks for them.
#pragma once
#include <filesystem>

#include "foreign/foreign_run.hpp"

namespace shardrift::foreign {

struct ServerFiles {
  std::filesystem::path answers;
  std::filesystem::path prompts;    // a prompts file, for tokens that answers lack; empty: they have them
  std::filesystem::path tokenizer;  // for texts in either; empty: ids are expected
  std::int64_t vocabulary = 0;
  bool prompt_rows = false;
};

// Answers without any token are left out, with a note. Throws bad_data naming line, key and value, and what
// to ask the server for.
ForeignRun import_server_lines(const ServerFiles& files);

}  // namespace shardrift::foreign
