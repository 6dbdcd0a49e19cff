#include "prompts/prompts_file.hpp"

#include <limits>
#include <set>

#include "common/hash.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/text.hpp"
#include "record/record.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;

GivenPrompt prompt_of(const JsonObject& line) {
  GivenPrompt prompt{line.where(), line.text("id"), {}, {}, true};
  if (!record::valid_id(prompt.id))
    throw bad_data("{}: id '{}': use letters, digits, '.', '_' and '-', at most 64, not starting with '.'",
                   prompt.where, prompt.id);
  // null is what tables write for the column that a prompt lacks
  const bool is_text = line.get("text") != nullptr;
  if (is_text == (line.get("tokens") != nullptr))
    throw bad_data("{}: prompt '{}' needs either \"text\" or \"tokens\"", prompt.where, prompt.id);
  if (is_text) {
    prompt.text = line.text("text");
    prompt.special_tokens = line.flag("special_tokens", true);
    return prompt;
  }
  if (line.get("special_tokens") != nullptr)
    throw bad_data(
        "{}: prompt '{}' has \"special_tokens\", which goes with \"text\": write them into \"tokens\"",
        prompt.where, prompt.id);
  for (const auto& item : line.list("tokens"))
    prompt.tokens.push_back(static_cast<std::int32_t>(
        line.integer_of("tokens", item, 0, std::numeric_limits<std::int32_t>::max())));
  if (prompt.tokens.empty()) throw bad_data("{}: prompt '{}' is empty", prompt.where, prompt.id);
  return prompt;
}

}  // namespace

PromptsFile read_prompts_file(const std::filesystem::path& path) {
  const std::string text = read_text_file(path, kMaxFileBytes);
  PromptsFile file;
  file.sha256 = sha256_hex(text);
  std::set<std::string> ids;
  int number = 0;
  for (const auto& line : split(text, '\n')) {
    const auto where = fmt::format("{} line {}", path.string(), ++number);
    if (is_blank(line)) continue;
    const auto json = parse_json_object(line, where);
    auto prompt = prompt_of({json, where});
    if (!ids.insert(prompt.id).second) throw bad_data("{}: id '{}' is used twice", where, prompt.id);
    file.prompts.push_back(std::move(prompt));
  }
  if (file.prompts.empty()) throw bad_data("{}: holds no prompt", path.string());
  return file;
}

void check_prompts(const PromptsFile& file, std::int64_t vocabulary, bool has_tokenizer) {
  for (const auto& prompt : file.prompts) {
    if (prompt.text && !has_tokenizer)
      throw bad_data(
          "{}: has \"text\", but the model directory has neither tokenizer.json nor tokenizer.model: give "
          "\"tokens\", which need none, or put the tokenizer there (docs/tokenizers.md)",
          prompt.where);
    for (const auto token : prompt.tokens)
      if (token >= vocabulary)
        throw bad_data("{}: token {} is outside the vocabulary of {}", prompt.where, token, vocabulary);
  }
}

}  // namespace shardrift
