// Byte-level BPE from a Hugging Face tokenizer.json: encoding as `tokenizers` does, no Python at run time.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {

class Tokenizer {
 public:
  // Throws bad_data naming file and key: no JSON, a model other than BPE, a normalizer, pre-tokenizer,
  // post-processor or decoder this version does not compute (named).
  static Tokenizer open(const std::filesystem::path& tokenizer_json);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Special and added tokens written in the text are recognised; the post-processor's special tokens are
  // added where add_special_tokens. Invalid UTF-8 throws bad_data.
  // tokenizer.json's truncation and padding are left out, as transformers does.
  std::vector<std::int32_t> encode(std::string_view text, bool add_special_tokens = true) const;
  std::string decode(const std::vector<std::int32_t>& ids) const;  // special tokens kept
  // The text one token stands for (bytes that are no UTF-8 alone become U+FFFD), for tables. Empty for unused
  // ids.
  std::string token_text(std::int32_t id) const;
  std::int64_t size() const;  // highest id + 1
  // What the file says and `tokenizers`, and thus we, do not follow: ids of added tokens.
  const std::vector<std::string>& notes() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shardrift
