#include "tokenizer/decoder.hpp"

#include <charconv>
#include <limits>
#include <optional>

#include "common/error.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"
#include "common/utf8.hpp"
#include "tokenizer/byte_level.hpp"
#include "tokenizer/metaspace.hpp"
#include "tokenizer/replacement.hpp"

namespace shardrift {
namespace {

using Tokens = std::vector<std::string>;

std::string all_of(const Tokens& tokens) {
  std::string all;
  for (const auto& token : tokens) {
    all += token;
  }
  return all;
}

// A token that is not written in the byte-level spelling stands for itself.
void decode_byte_level(Tokens& tokens) {
  std::string bytes;
  for (const auto& token : tokens) {
    bytes += byte_level_bytes(token).value_or(token);
  }
  tokens.assign(1, utf8_lossy(bytes));
}

std::optional<char> byte_of(const std::string& token) {
  if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token.back() != '>') {
    return std::nullopt;
  }
  unsigned value = 0;
  const auto* end = token.data() + 5;
  const auto [read, error] = std::from_chars(token.data() + 3, end, value, 16);
  if (error != std::errc() || read != end) {
    return std::nullopt;
  }
  return static_cast<char>(value);
}

// Bytes in a row are a text, or each of them U+FFFD.
void decode_bytes(Tokens& tokens) {
  Tokens decoded;
  std::string bytes;
  const auto flush = [&] {
    if (utf8_valid_prefix(bytes) == bytes.size()) {
      decoded.push_back(bytes);
    } else {
      decoded.insert(decoded.end(), bytes.size(), "\uFFFD");
    }
    bytes.clear();
  };
  for (auto& token : tokens) {
    if (const auto byte = byte_of(token)) {
      bytes.push_back(*byte);
      continue;
    }
    flush();
    decoded.push_back(std::move(token));
  }
  flush();
  tokens = std::move(decoded);
}

// At most `start` of `content` from the beginning and `stop` from the end.
std::string stripped(const std::string& token, const std::string& content, std::int64_t start,
                     std::int64_t stop) {
  std::string_view rest = token;
  for (; start > 0 && rest.starts_with(content); --start) {
    rest.remove_prefix(content.size());
  }
  for (; stop > 0 && rest.ends_with(content); --stop) {
    rest.remove_suffix(content.size());
  }
  return std::string(rest);
}

}  // namespace

Decoder Decoder::from_json(const nlohmann::json* json, const std::string& where) {
  Decoder decoder;
  decoder.none_ = json == nullptr;
  if (json != nullptr) {
    decoder.add(*json, where);
  }
  return decoder;
}

void Decoder::add(const nlohmann::json& value, const std::string& where) {
  const auto* type = value.is_object() ? member(value, "type") : nullptr;
  if (type == nullptr) {
    throw bad_data("{}: {} has no type", where, shown(value));
  }
  const JsonObject json(value, where);
  if (*type == "Sequence") {
    const auto& list = json.list("decoders");
    for (std::size_t i = 0; i < list.size(); ++i) {
      add(list[i], fmt::format("{}.decoders[{}]", where, i));
    }
  } else if (*type == "ByteLevel") {
    steps_.push_back({[](Tokens& tokens, bool) { decode_byte_level(tokens); }});
  } else if (*type == "Replace") {
    steps_.push_back({[replace = Replacement(json)](Tokens& tokens, bool) {
      for (auto& token : tokens) {
        token = replace.in(token);
      }
    }});
  } else if (*type == "ByteFallback") {
    steps_.push_back({[](Tokens& tokens, bool) { decode_bytes(tokens); }});
  } else if (*type == "Fuse") {
    steps_.push_back({[](Tokens& tokens, bool) { tokens.assign(1, all_of(tokens)); }});
  } else if (*type == "Strip") {
    const auto content = one_character(json, "content");
    constexpr auto kMost = std::numeric_limits<std::int32_t>::max();
    const auto start = json.integer("start", 0, kMost);
    const auto stop = json.integer("stop", 0, kMost);
    steps_.push_back({[content, start, stop](Tokens& tokens, bool inside) {
      for (auto& token : tokens) {
        token = inside ? token : stripped(token, content, start, stop);
      }
    }});
  } else if (*type == "Metaspace") {
    steps_.push_back({[metaspace = Metaspace(json)](Tokens& tokens, bool inside) {
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i] = metaspace.decoded(tokens[i], i == 0 && !inside);
      }
    }});
  } else {
    throw bad_data(
        "{}: type is {}; this version computes Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip and "
        "Metaspace "
        "(or null)",
        where, shown(*type));
  }
}

std::string Decoder::joined(Tokens tokens, bool inside) const {
  for (const auto& step : steps_) {
    step.run(tokens, inside);
  }
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    text.append(none_ && i > 0 ? " " : "").append(tokens[i]);
  }
  return utf8_lossy(text);
}

std::string Decoder::text_of(Tokens tokens) const {
  return joined(std::move(tokens), false);
}

std::string Decoder::text_inside(std::string token) const {
  return joined({std::move(token)}, true);
}

}  // namespace shardrift
