// What tokenizer.json and tokenizer.model make of a text, behind Tokenizer.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

class TokenizerKind {
 public:
  TokenizerKind() = default;
  TokenizerKind(const TokenizerKind&) = delete;
  TokenizerKind& operator=(const TokenizerKind&) = delete;
  virtual ~TokenizerKind() = default;

  // `text` is UTF-8.
  virtual std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens) const = 0;
  virtual std::string decode(const std::vector<std::int32_t>& ids) const = 0;
  virtual std::string token_text(std::int32_t id) const = 0;
  virtual std::int64_t size() const = 0;
  virtual const std::vector<std::string>& notes() const = 0;
};

std::unique_ptr<const TokenizerKind> open_tokenizer_json(const std::filesystem::path& file);
// Its text; `name` begins messages.
std::unique_ptr<const TokenizerKind> open_tokenizer_text(std::string_view text, const std::string& name);
std::unique_ptr<const TokenizerKind> open_sentencepiece(const std::filesystem::path& file);

}  // namespace shardrift
