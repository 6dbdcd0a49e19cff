// What estimates need to know of a prompts file, without a tokenizer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "prompts/prompts_file.hpp"

namespace shardrift::study {

struct PromptsSummary {
  std::int64_t prompts = 0;
  std::int64_t tokens = 0;            // of all prompts; of texts estimated
  std::int64_t longest = 0;           // tokens
  std::vector<std::int64_t> lengths;  // tokens, in the order of the file
  bool estimated = false;             // some prompts are texts: their tokens are guessed from their length
  PromptsFile file;
};

// Throws bad_data as read_prompts_file does.
PromptsSummary summarize_prompts(const std::filesystem::path& path);

}  // namespace shardrift::study
