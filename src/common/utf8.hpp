// UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace shardrift {

// Bytes of the well-formed character at `text[at]`, 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at);
// The character at `text[at]`, which must be well formed; `length` is utf8_length's answer.
char32_t utf8_decode(std::string_view text, std::size_t at, std::size_t length);
void utf8_append(std::string& text, char32_t character);
// Offset of the first byte that is not well formed, text.size() if all is.
std::size_t utf8_valid_prefix(std::string_view text);
// Each maximal ill-formed part becomes one U+FFFD (Unicode's and Rust's practice, so that decoding equals
// theirs).
std::string utf8_lossy(std::string_view bytes);

}  // namespace shardrift
