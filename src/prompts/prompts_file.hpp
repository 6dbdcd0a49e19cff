// prompts.jsonl: one prompt a line, {"id": "p0", "text": "…"} or {"id": "p0", "tokens": [1, 2]}; with a text
// "special_tokens": false leaves out what the tokenizer puts around it (a chat template has written it); null
// means absent; other keys and blank lines are passed over.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

struct GivenPrompt {
  std::string where;  // "prompts.jsonl line 3"
  std::string id;
  std::optional<std::string> text;  // to be encoded; or else
  std::vector<std::int32_t> tokens;
  bool special_tokens = true;  // the tokenizer's own are put around the text
};

struct PromptsFile {
  std::vector<GivenPrompt> prompts;
  std::string sha256;  // of the file
};

// Throws bad_data naming file and line: unreadable, no JSON object, an id that is missing, repeated or no
// file name (record::valid_id), neither or both of text and tokens, no tokens, a token that is no number from
// 0, special_tokens that is no flag or stands beside tokens; no prompt.
PromptsFile read_prompts_file(const std::filesystem::path& path);

// What this model cannot be given: throws bad_data naming file and line of a token outside its vocabulary,
// and of a text where the model comes without a tokenizer.
void check_prompts(const PromptsFile& file, std::int64_t vocabulary, bool has_tokenizer);

}  // namespace shardrift
