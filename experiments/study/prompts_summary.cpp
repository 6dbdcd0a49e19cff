#include "experiments/study/prompts_summary.hpp"

#include <algorithm>

namespace shardrift::study {
namespace {

// About 4 letters a token of English; a Chinese or Japanese character takes 0.7 tokens of a large vocabulary
// and 1.7 of SmolLM2's (experiments/prompts/README.md). Good to a factor of 1.5, which is enough here.
constexpr double kTokensPerAscii = 1 / 4.0;
constexpr double kTokensPerOther = 1.2;

std::int64_t guessed_tokens(const std::string& text) {
  double tokens = 1;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) tokens += kTokensPerAscii;
    if (byte >= 0xC0) tokens += kTokensPerOther;  // first byte of a longer character
  }
  return static_cast<std::int64_t>(tokens);
}

}  // namespace

PromptsSummary summarize_prompts(const std::filesystem::path& path) {
  PromptsSummary summary;
  summary.file = read_prompts_file(path);
  for (const auto& prompt : summary.file.prompts) {
    const auto tokens =
        prompt.text ? guessed_tokens(*prompt.text) : static_cast<std::int64_t>(prompt.tokens.size());
    summary.estimated = summary.estimated || prompt.text;
    ++summary.prompts;
    summary.tokens += tokens;
    summary.longest = std::max(summary.longest, tokens);
    summary.lengths.push_back(tokens);
  }
  return summary;
}

}  // namespace shardrift::study
