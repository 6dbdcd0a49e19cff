// SentencePiece's spelling of spaces as visible characters: the Metaspace of pre-tokenizers and decoders.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace shardrift {
class JsonObject;

enum class MetaspacePrepend { always, first, never };  // where a space is put before a stretch of text

class Metaspace {
 public:
  // Throws bad_data naming the key.
  explicit Metaspace(const JsonObject& json);
  // A stretch of a text as words, none of them empty; `first`: it is the text's beginning.
  std::vector<std::string> words(std::string_view text, bool first) const;
  std::string decoded(std::string_view token, bool first) const;

 private:
  std::string replacement_;
  MetaspacePrepend prepend_ = MetaspacePrepend::always;
  bool split_ = true;
};

// A member that is one character of UTF-8. Throws bad_data naming the key.
std::string one_character(const JsonObject& json, const char* key);

}  // namespace shardrift
