#include "experiments/study/prompts_file.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "common/json_file.hpp"

namespace shardrift::study {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

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
  const std::string text = read_text_file(path, kMaxFileBytes);
  PromptsSummary summary;
  summary.sha256 = sha256_hex(text);
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto object = nlohmann::json::parse(line, nullptr, false);
    if (object.is_discarded() || !object.is_object())
      throw bad_data("{} line {}: not a JSON object: {}", path.string(), number, line.substr(0, 60));
    std::int64_t tokens = 0;
    if (const auto* list = member(object, "tokens"); list != nullptr && list->is_array()) {
      tokens = static_cast<std::int64_t>(list->size());
    } else if (const auto* words = member(object, "text"); words != nullptr && words->is_string()) {
      tokens = guessed_tokens(words->get<std::string>());
      summary.estimated = true;
    } else {
      throw bad_data("{} line {}: a prompt needs either \"text\" or \"tokens\"", path.string(), number);
    }
    ++summary.prompts;
    summary.tokens += tokens;
    summary.longest = std::max(summary.longest, tokens);
    summary.lengths.insert(tokens);
  }
  if (summary.prompts == 0) throw bad_data("{}: holds no prompt", path.string());
  return summary;
}

}  // namespace shardrift::study
