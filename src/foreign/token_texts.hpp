// Which token id is meant by a text: servers give texts where ids were not asked for.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace shardrift::foreign {

class TokenTexts {
 public:
  // "token_id:123" (vLLM's return_tokens_as_token_ids) is understood without a tokenizer. tokenizer: the
  // model's file (weights/model_files.hpp's tokenizer_file); empty: no other texts are understood.
  explicit TokenTexts(const std::filesystem::path& tokenizer, std::int64_t vocabulary);

  // nullopt: no token has this text, or it is cut within a character (U+FFFD), which many have.
  std::optional<std::int32_t> id_of(const std::string& text) const;
  // Whether the text is "token_id:…".
  static bool says_id(const std::string& text);
  bool has_tokenizer() const { return !ids_.empty(); }
  // Texts that several ids have, as far as they were asked for: the lowest was taken.
  std::int64_t ambiguous() const { return ambiguous_; }

 private:
  struct Ids {
    std::int32_t lowest = 0;
    bool several = false;
  };
  std::map<std::string, Ids, std::less<>> ids_;
  mutable std::int64_t ambiguous_ = 0;
};

}  // namespace shardrift::foreign
