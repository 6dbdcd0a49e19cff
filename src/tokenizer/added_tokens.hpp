// Tokens that are found in the text before it is cut into words: tokenizer.json's added_tokens.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.hpp"

namespace shardrift {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and after it
  bool normalized = false;   // looked for after normalization, thus after those that are not
  bool special = false;
};

class AddedTokens {
 public:
  AddedTokens();
  AddedTokens(AddedTokens&&) noexcept = default;
  AddedTokens& operator=(AddedTokens&&) noexcept = default;
  AddedTokens(const AddedTokens&) = delete;  // the tries point into tokens_
  AddedTokens& operator=(const AddedTokens&) = delete;
  // `list` may be null. Throws bad_data naming the entry.
  static AddedTokens from_json(const nlohmann::json* list, const std::string& where);

  // A stretch of text, or one added token in its place (then `text` is what it stood on).
  struct Piece {
    std::string_view text;
    const AddedToken* token = nullptr;
  };
  // `text` must be UTF-8 and outlive the pieces.
  std::vector<Piece> split(std::string_view text) const;
  const AddedToken* find(std::int32_t id) const;
  const std::map<std::int32_t, AddedToken>& all() const { return tokens_; }

 private:
  // Finds the longest token that begins at a place.
  class Trie {
   public:
    void insert(std::string_view content, const AddedToken* token);
    const AddedToken* longest(std::string_view text, std::size_t at) const;
    bool empty() const { return nodes_.size() == 1; }

   private:
    struct Node {
      std::map<char, std::size_t> next;
      const AddedToken* token = nullptr;
    };
    std::vector<Node> nodes_ = std::vector<Node>(1);
  };
  void split_by(const Trie& trie, std::string_view text, std::vector<Piece>& pieces) const;

  std::map<std::int32_t, AddedToken> tokens_;  // by id; nodes do not move
  Trie plain_;
  Trie normalized_;
  Regex word_at_start_;
  Regex word_at_end_;
  Regex space_at_start_;
  Regex space_at_end_;
};

}  // namespace shardrift
