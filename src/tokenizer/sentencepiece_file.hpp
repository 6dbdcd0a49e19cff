// A SentencePiece model's file, checked before libsentencepiece reads it.
#pragma once
#include <string>
#include <string_view>

namespace shardrift {

// Throws bad_data starting with `where`: no message of that kind, a model type other than BPE (named), a
// table of character replacements that points outside of itself, which the library would follow.
void check_sentencepiece(std::string_view bytes, const std::string& where);

// The same model, but no space is put before a text.
std::string without_dummy_prefix(std::string bytes);

}  // namespace shardrift
