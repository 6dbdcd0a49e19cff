#include "tokenizer/normalizer.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "tokenizer/utf8.hpp"

namespace shardrift {
namespace {

struct Characters {
  char32_t first, last;
};

// `tokenizers` composes by Unicode 9; utf8proc by a newer one, which knows marks (and few composed letters)
// that came later. To `tokenizers` those are letters that nothing is composed with or moved across, so the
// text is composed piecewise between them. Ranges are as wide as they may be: a letter that never composes is
// a place to cut as well.
constexpr auto kLater = std::to_array<Characters>(
    {{0x7FD, 0x7FD},     {0x870, 0x89F},     {0x8BE, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1AFF},   {0x1DF6, 0x1DFA},
     {0xA82C, 0xA82C},   {0x105C0, 0x105FF}, {0x10D24, 0x10D27}, {0x10D40, 0x10D8F}, {0x10EAB, 0x10EAC},
     {0x10EFA, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
     {0x11380, 0x113FF}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11943}, {0x119E0, 0x119E0},
     {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D45}, {0x11D97, 0x11D97},
     {0x11F41, 0x11F42}, {0x16100, 0x1613F}, {0x16D40, 0x16D7F}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
     {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF},
     {0x1E6E0, 0x1E6FF}});

bool is_later(char32_t character) {
  const auto* range = std::lower_bound(kLater.begin(), kLater.end(), character,
                                       [](const Characters& r, char32_t c) { return r.last < c; });
  return range != kLater.end() && character >= range->first;
}

void append_composed(std::string& out, std::string_view piece) {
  utf8proc_uint8_t* composed = nullptr;
  const auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(piece.data()),
                                   static_cast<utf8proc_ssize_t>(piece.size()), &composed,
                                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(composed, std::free);
  if (length < 0)
    throw failure("a text of {} bytes cannot be composed: {}", piece.size(), utf8proc_errmsg(length));
  out.append(reinterpret_cast<const char*>(composed), static_cast<std::size_t>(length));
}

}  // namespace

Normalizer Normalizer::from_json(const nlohmann::json* json, const std::string& where) {
  Normalizer normalizer;
  if (json == nullptr) return normalizer;
  const auto* type = json->is_object() ? member(*json, "type") : nullptr;
  const auto* list = json->is_object() ? member(*json, "normalizers") : nullptr;
  if (type != nullptr && *type == "NFC") {
    normalizer.composes_ = true;
    return normalizer;
  }
  if (type == nullptr || *type != "Sequence" || list == nullptr || !list->is_array())
    throw bad_data("{}: type is {}; this version computes NFC and Sequence of it (or null)", where,
                   type == nullptr ? "missing" : shown(*type));
  for (std::size_t i = 0; i < list->size(); ++i)
    if (from_json(&(*list)[i], fmt::format("{}.normalizers[{}]", where, i)).composes_)
      normalizer.composes_ = true;
  return normalizer;
}

std::string Normalizer::normalized(std::string_view text) const {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (!composes_ || std::all_of(text.begin(), text.end(), is_ascii)) return std::string(text);
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto length = utf8_length(text, at);
    if (length > 1 && is_later(utf8_decode(text, at, length))) {
      append_composed(out, text.substr(begin, at - begin));
      out.append(text.substr(at, length));
      begin = at + length;
    }
    at += std::max<std::size_t>(1, length);
  }
  append_composed(out, text.substr(begin));
  return out;
}

}  // namespace shardrift
