// What `tokenizers`' Punctuation splits at: ASCII's signs and Unicode 8's general categories P*. Written out
// because Oniguruma's \p{P} grows with the library's Unicode version, and `tokenizers`' does not (test
// Tokenizer.Classes).
#pragma once
#include <string_view>

namespace shardrift {

extern const std::string_view kPunctuation;  // members of a character class, as Oniguruma spells them

}  // namespace shardrift
