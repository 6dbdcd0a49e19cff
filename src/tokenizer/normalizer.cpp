#include "tokenizer/normalizer.hpp"

#include <algorithm>
#include <array>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/named_enum.hpp"
#include "common/utf8.hpp"
#include "tokenizer/byte_level.hpp"
#include "tokenizer/replacement.hpp"
#include "tokenizer/unicode_form.hpp"

namespace shardrift {

constexpr auto names_of(UnicodeForm) {
  return std::to_array<Named<UnicodeForm>>({{UnicodeForm::nfc, "NFC"},
                                            {UnicodeForm::nfd, "NFD"},
                                            {UnicodeForm::nfkc, "NFKC"},
                                            {UnicodeForm::nfkd, "NFKD"}});
}

namespace {

std::string_view stripped(std::string_view text, bool left, bool right) {
  std::size_t begin = 0;
  std::size_t end = 0;  // behind the last character that is no white space
  bool leading = true;
  for (std::size_t at = 0; at < text.size();) {
    const auto length = std::max<std::size_t>(1, utf8_length(text, at));
    const bool space = is_white_space(utf8_decode(text, at, length));
    at += length;
    leading = leading && space;
    if (leading) {
      begin = at;
    }
    if (!space) {
      end = at;
    }
  }
  begin = left ? begin : 0;
  end = right ? std::max(begin, end) : text.size();
  return text.substr(begin, end - begin);
}

}  // namespace

Normalizer Normalizer::from_json(const nlohmann::json* json, const std::string& where) {
  Normalizer normalizer;
  if (json != nullptr) {
    normalizer.add(*json, where);
  }
  return normalizer;
}

void Normalizer::add(const nlohmann::json& value, const std::string& where) {
  const auto* type = value.is_object() ? member(value, "type") : nullptr;
  const auto name = type != nullptr && type->is_string() ? type->get<std::string>() : std::string();
  if (name.empty()) {
    throw bad_data("{}: {} has no type", where, shown(value));
  }
  const JsonObject json(value, where);
  if (name == "Sequence") {
    const auto& list = json.list("normalizers");
    for (std::size_t i = 0; i < list.size(); ++i) {
      add(list[i], fmt::format("{}.normalizers[{}]", where, i));
    }
  } else if (const auto form = from_name<UnicodeForm>(name)) {
    steps_.emplace_back([form = *form](std::string_view text) { return in_form(form, text); });
  } else if (name == "Replace") {
    steps_.emplace_back([replace = Replacement(json)](std::string_view text) { return replace.in(text); });
  } else if (name == "Prepend") {
    steps_.emplace_back([before = json.text("prepend")](std::string_view text) {
      return text.empty() ? std::string() : before + std::string(text);
    });
  } else if (name == "Strip") {
    const bool left = json.flag("strip_left");
    const bool right = json.flag("strip_right");
    steps_.emplace_back(
        [left, right](std::string_view text) { return std::string(stripped(text, left, right)); });
  } else if (name == "Lowercase") {
    steps_.emplace_back(in_small_letters);
  } else if (name == "ByteLevel") {
    steps_.emplace_back(byte_level_spell);
  } else {
    throw bad_data(
        "{}: type is {}; this version computes Sequence, NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, "
        "Lowercase "
        "and ByteLevel (or null)",
        where, shown(*type));
  }
}

std::string Normalizer::normalized(std::string_view text) const {
  std::string out(text);
  for (const auto& step : steps_) {
    out = step(out);
  }
  return out;
}

}  // namespace shardrift
