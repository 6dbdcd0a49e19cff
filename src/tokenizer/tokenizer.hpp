// Texts to token ids as Hugging Face's libraries encode them, and back; no Python at run time.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

class TokenizerKind;

class Tokenizer {
 public:
  // A tokenizer.json, as `tokenizers` computes it; a GGUF file, by the tokenizer.json that it stands for
  // (weights/gguf/gguf_tokenizer.hpp); or a SentencePiece model (*.model) with what
  // tokenizer_config.json and added_tokens.json beside it say, as transformers' Python tokenizers do. Throws
  // bad_data naming file and key: damaged, or with a part that this version does not compute (named).
  static Tokenizer open(const std::filesystem::path& file);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Special and added tokens written in the text are recognised; the special tokens of the model's own are
  // put around it where add_special_tokens. Invalid UTF-8 throws bad_data. tokenizer.json's truncation and
  // padding are left out, as transformers does.
  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens = true) const;
  std::string decode(const std::vector<std::int32_t>& ids) const;  // special tokens kept
  // What one token adds to a text that goes on (bytes that are no UTF-8 alone become U+FFFD), for tables.
  // Empty for unused ids.
  std::string token_text(std::int32_t id) const;
  std::int64_t size() const;  // highest id + 1
  // What the file says and `tokenizers`, and thus we, do not follow: ids of added tokens.
  const std::vector<std::string>& notes() const;

 private:
  explicit Tokenizer(std::unique_ptr<const TokenizerKind> kind);
  std::unique_ptr<const TokenizerKind> kind_;
};

}  // namespace shardrift
