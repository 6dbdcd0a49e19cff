#include "tokenizer/unicode_form.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "common/error.hpp"
#include "common/utf8.hpp"

namespace shardrift {
namespace {

struct Characters {
  char32_t first, last;
};

// `tokenizers` has the forms of Unicode 9; utf8proc those of a newer one, which knows marks, composed and
// compatibility characters that came later. To `tokenizers` those are letters that nothing is composed with
// or moved across, so the text is put into its form piecewise between them. Ranges are as wide as they may
// be: a letter that never composes is a place to cut as well.
constexpr auto kLater = std::to_array<Characters>(
    {{0x7FD, 0x7FD},     {0x870, 0x89F},     {0x8BE, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1AFF},   {0x1DF6, 0x1DFA},
     {0x32FF, 0x32FF},   {0xA7F1, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x105C0, 0x105FF},
     {0x10780, 0x107BF}, {0x10D24, 0x10D27}, {0x10D40, 0x10D8F}, {0x10EAB, 0x10EAC}, {0x10EFA, 0x10EFF},
     {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x11380, 0x113FF},
     {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34},
     {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42},
     {0x16100, 0x1613F}, {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1CCD6, 0x1CCF9}, {0x1E030, 0x1E06F},
     {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
     {0x1E5EE, 0x1E5EF}, {0x1E6E0, 0x1E6FF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}});

bool is_later(char32_t character) {
  const auto* range = std::lower_bound(kLater.begin(), kLater.end(), character,
                                       [](const Characters& r, char32_t c) { return r.last < c; });
  return range != kLater.end() && character >= range->first;
}

int options_of(UnicodeForm form) {
  switch (form) {
    case UnicodeForm::nfc:
      return UTF8PROC_COMPOSE;
    case UnicodeForm::nfd:
      return UTF8PROC_DECOMPOSE;
    case UnicodeForm::nfkc:
      return UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    case UnicodeForm::nfkd:
      return UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return 0;
}

void append_piece(std::string& out, std::string_view piece, UnicodeForm form) {
  utf8proc_uint8_t* made = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(piece.data()),
                                   static_cast<utf8proc_ssize_t>(piece.size()), &made,
                                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | options_of(form)));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(made, std::free);
  if (length < 0) {
    throw failure("a text of {} bytes cannot be normalized: {}", piece.size(), utf8proc_errmsg(length));
  }
  out.append(reinterpret_cast<const char*>(made), static_cast<std::size_t>(length));
}

}  // namespace

std::string in_form(UnicodeForm form, std::string_view text) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) {
    return std::string(text);
  }
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto length = utf8_length(text, at);
    if (length > 1 && is_later(utf8_decode(text, at, length))) {
      append_piece(out, text.substr(begin, at - begin), form);
      out.append(text.substr(at, length));
      begin = at + length;
    }
    at += std::max<std::size_t>(1, length);
  }
  append_piece(out, text.substr(begin), form);
  return out;
}

std::string in_small_letters(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto length = std::max<std::size_t>(1, utf8_length(text, at));
    const auto character = utf8_decode(text, at, length);
    if (character == U'\u0130') {
      out.append("i\u0307");  // the one letter whose small form is two characters
    } else {
      utf8_append(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(character))));
    }
    at += length;
  }
  return out;
}

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

}  // namespace shardrift
