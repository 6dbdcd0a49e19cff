// Byte-pair encoding of one word: the model part of tokenizer.json.
#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace shardrift {
class JsonObject;

class Bpe {
 public:
  Bpe(Bpe&&) noexcept = default;
  Bpe& operator=(Bpe&&) noexcept = default;
  Bpe(const Bpe&) = delete;  // tokens_ points into ids_
  Bpe& operator=(const Bpe&) = delete;
  // Throws bad_data naming the key: a type other than BPE, dropout, prefixes or suffixes, vocabulary entries
  // that are no distinct ids, merges of tokens that are not in the vocabulary.
  static Bpe from_json(const nlohmann::json& json, const std::string& where);
  // Appends the word's ids. A character that is not in the vocabulary gives those of its bytes, the unknown
  // token's, or without both none, as in `tokenizers`. Throws bad_data where unk_token itself is unknown.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;
  std::optional<std::int32_t> id_of(std::string_view token) const;
  const std::string* token_of(std::int32_t id) const;  // byte-level spelling; nullptr for unused ids
  std::int32_t highest_id() const { return highest_id_; }
  std::int32_t size() const { return static_cast<std::int32_t>(ids_.size()); }  // entries; ids may have gaps

 private:
  Bpe() = default;
  struct TextHash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct Merge {
    std::uint32_t rank;  // its place in the list: lower ones go first
    std::int32_t id;     // of the merged token
  };
  struct Symbols;
  void add_characters(std::string_view word, Symbols& symbols) const;
  bool add_bytes(std::string_view character, Symbols& symbols) const;
  void read_vocabulary(const JsonObject& json);
  void read_merges(const JsonObject& json);
  const Merge* merge_of(std::int32_t left, std::int32_t right) const;

  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  std::unordered_map<std::int32_t, const std::string*> tokens_;  // into the nodes of ids_, which do not move
  std::unordered_map<std::uint64_t, Merge> merges_;              // by left id << 32 | right id
  std::int32_t highest_id_ = -1;
  std::string where_;
  std::optional<std::string> unknown_;  // unk_token
  bool fuses_unknown_ = false;          // unknown characters in a row are one token
  bool falls_back_ = false;             // to the tokens <0x00> to <0xFF> of its bytes
  bool ignore_merges_ = false;          // a word that is a token is that token, whatever the merges give
};

}  // namespace shardrift
