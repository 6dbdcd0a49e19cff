#include "foreign/token_texts.hpp"

#include "common/text.hpp"
#include "tokenizer/tokenizer.hpp"

namespace shardrift::foreign {
namespace {

constexpr std::string_view kIdPrefix = "token_id:";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

TokenTexts::TokenTexts(const std::filesystem::path& tokenizer, std::int64_t vocabulary) {
  if (tokenizer.empty()) return;
  const auto opened = Tokenizer::open(tokenizer);
  for (std::int64_t id = 0; id < std::min(opened.size(), vocabulary); ++id) {
    auto text = opened.token_text(static_cast<std::int32_t>(id));
    if (text.empty()) continue;
    const auto [at, first] = ids_.try_emplace(std::move(text), Ids{static_cast<std::int32_t>(id), false});
    at->second.several = at->second.several || !first;
  }
}

bool TokenTexts::says_id(const std::string& text) {
  return text.starts_with(kIdPrefix);
}

std::optional<std::int32_t> TokenTexts::id_of(const std::string& text) const {
  if (says_id(text)) return number_from<std::int32_t>(std::string_view(text).substr(kIdPrefix.size()));
  if (text.find(kReplacement) != std::string::npos) return std::nullopt;
  const auto found = ids_.find(text);
  if (found == ids_.end()) return std::nullopt;
  ambiguous_ += found->second.several ? 1 : 0;
  return found->second.lowest;
}

}  // namespace shardrift::foreign
