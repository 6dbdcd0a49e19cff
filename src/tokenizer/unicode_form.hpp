// Unicode's normalization forms and small letters, as `tokenizers` computes them.
#pragma once
#include <string>
#include <string_view>

namespace shardrift {

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

// `text` must be UTF-8.
std::string in_form(UnicodeForm form, std::string_view text);
std::string in_small_letters(std::string_view text);

// Unicode's White_Space.
bool is_white_space(char32_t character);

}  // namespace shardrift
