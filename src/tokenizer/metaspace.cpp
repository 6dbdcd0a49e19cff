#include "tokenizer/metaspace.hpp"

#include <algorithm>
#include <array>

#include "common/error.hpp"
#include "common/json_reader.hpp"
#include "common/named_enum.hpp"
#include "common/utf8.hpp"

namespace shardrift {
namespace {

std::string with(std::string_view text, std::string_view old, std::string_view fresh) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto found = text.find(old, at);
    out.append(text.substr(at, found == std::string_view::npos ? found : found - at));
    if (found == std::string_view::npos) {
      break;
    }
    out.append(fresh);
    at = found + old.size();
  }
  return out;
}

}  // namespace

constexpr auto names_of(MetaspacePrepend) {
  return std::to_array<Named<MetaspacePrepend>>({{MetaspacePrepend::always, "always"},
                                                 {MetaspacePrepend::first, "first"},
                                                 {MetaspacePrepend::never, "never"}});
}

std::string one_character(const JsonObject& json, const char* key) {
  auto text = json.text(key);
  if (text.empty() || utf8_length(text, 0) != text.size()) {
    throw json.wrong(key, json.required(key), "one character is expected");
  }
  return text;
}

Metaspace::Metaspace(const JsonObject& json)
    : replacement_(one_character(json, "replacement")), split_(json.flag("split", true)) {
  if (json.has("prepend_scheme")) {
    prepend_ = json.choice<MetaspacePrepend>("prepend_scheme");
  }
  // The key of older files; `tokenizers` refuses them likewise.
  if (!json.flag("add_prefix_space", true) && prepend_ != MetaspacePrepend::never) {
    throw bad_data("{}: add_prefix_space is false, but prepend_scheme is not \"never\"", json.where());
  }
}

std::vector<std::string> Metaspace::words(std::string_view text, bool first) const {
  auto all = with(text, " ", replacement_);
  const bool prepends =
      prepend_ == MetaspacePrepend::always || (prepend_ == MetaspacePrepend::first && first);
  if (prepends && !all.starts_with(replacement_)) {
    all.insert(0, replacement_);
  }
  if (!split_) {
    return {all};
  }
  // Each replacement begins a word.
  std::vector<std::string> words;
  for (std::size_t at = 0; at < all.size();) {
    const auto next = std::min(all.find(replacement_, at + 1), all.size());
    words.push_back(all.substr(at, next - at));
    at = next;
  }
  return words;
}

std::string Metaspace::decoded(std::string_view token, bool first) const {
  return with(token, replacement_, first && prepend_ != MetaspacePrepend::never ? "" : " ");
}

}  // namespace shardrift
