// Logits in safetensors and .npy files.
//
// Two ways to say which row is of which token:
//   tokens                a text that was given: row i holds the logits after tokens[first_position + i];
//   prompt, generated     a text that was generated: row i holds the logits that chose generated[i], so row 0
//   those after
//                         the prompt's last token. Without `generated` each row's most likely token is taken.
// A safetensors file has them as tensors "logits", "tokens", "prompt", "generated", of several prompts
// "ID.logits", …; an .npy file is one prompt's logits, its tokens come from files of their own.
#pragma once
#include <filesystem>
#include <optional>
#include <vector>

#include "foreign/foreign_run.hpp"

namespace shardrift::foreign {

struct TokenFiles {
  std::filesystem::path tokens, prompt,
      generated;                               // .npy, .json (a list of ids) or .safetensors (one tensor)
  std::filesystem::path prompts;               // a prompts file: its tokens, by id
  std::optional<std::int64_t> first_position;  // of row 0, with tokens: 0 where there is a row for each token
};

// All of one dtype and vocabulary. Throws bad_data naming file, tensor and value; usage_error where token
// files do not fit the files.
ForeignRun import_logits(const std::vector<std::filesystem::path>& files, const TokenFiles& token_files);

}  // namespace shardrift::foreign
