// Tokens that are found in the text before it is cut into words: tokenizer.json's added_tokens.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/normalizer.hpp"
#include "tokenizer/regex.hpp"

namespace shardrift {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  std::string spelling;      // what is looked for, and decoded: the content, normalized if it is to be
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool normalized = false;   // looked for after normalization, thus after those that are not
  bool special = false;
  bool operator==(const AddedToken&) const = default;
};

// What the model without added tokens says.
struct Vocabulary {
  std::function<std::optional<std::int32_t>(std::string_view)> id_of;
  std::int32_t size = 0;  // entries; ids may have gaps
};

// One of tokenizer.json's, or of tokenizer_config.json's, where the id is the key. Throws bad_data.
AddedToken read_added_token(const nlohmann::json& json, const std::string& where,
                            std::optional<std::int32_t> id = {});

class AddedTokens {
 public:
  AddedTokens();
  AddedTokens(AddedTokens&&) noexcept = default;
  AddedTokens& operator=(AddedTokens&&) noexcept = default;
  AddedTokens(const AddedTokens&) = delete;  // the tries point into tokens_
  AddedTokens& operator=(const AddedTokens&) = delete;
  // `list` may be null. Ids are those that `tokenizers` gives: the vocabulary's, or the next free one;
  // notes() says where the file has another. An entry that is listed again counts once. Throws bad_data
  // naming the entry.
  static AddedTokens from_json(const nlohmann::json* list, const std::string& where,
                               const Vocabulary& vocabulary, const Normalizer& normalizer);
  // Likewise; `where` is the list's name, "[3]" is put behind it.
  static AddedTokens from_list(std::vector<AddedToken> list, const std::string& where,
                               const Vocabulary& vocabulary, const Normalizer& normalizer);

  // A stretch of normalized text, or one added token in its place (then `text` is what it stood on).
  struct Piece {
    std::string text;
    const AddedToken* token = nullptr;
    bool first = false;  // it is the beginning of the whole text
  };
  // `text` must be UTF-8. Tokens that are not normalized are found in it as it is, the others after the text
  // between those was normalized.
  std::vector<Piece> split(std::string_view text, const Normalizer& normalizer) const;
  const AddedToken* find(std::int32_t id) const;
  std::int32_t highest_id() const { return by_id_.empty() ? -1 : by_id_.rbegin()->first; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  // Finds the longest token that begins at a place.
  class Trie {
   public:
    struct Match {
      const AddedToken* token;  // nullptr: none
      std::size_t end;
    };
    // The token that was there under the same text, nullptr: none.
    const AddedToken* insert(std::string_view content, const AddedToken* token);
    Match longest(std::string_view text, std::size_t at) const;

   private:
    struct Node {
      std::map<char, std::size_t> next;
      const AddedToken* token = nullptr;
    };
    std::vector<Node> nodes_ = std::vector<Node>(1);
  };
  void split_by(const Trie& trie, std::string_view text, bool first, std::vector<Piece>& pieces) const;

  void add(AddedToken token, const std::string& where, const Vocabulary& vocabulary);

  std::map<std::string, AddedToken, std::less<>> tokens_;  // by content; nodes do not move
  std::map<std::int32_t, const AddedToken*> by_id_;
  std::vector<std::string> notes_;
  Trie plain_;
  Trie normalized_;
  Regex word_at_start_;
  Regex word_at_end_;
  Regex space_at_start_;
  Regex space_at_end_;
};

}  // namespace shardrift
