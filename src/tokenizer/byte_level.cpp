#include "tokenizer/byte_level.hpp"

#include <array>

#include "common/utf8.hpp"

namespace shardrift {
namespace {

constexpr std::size_t kCharacters = 256 + 68;  // one beyond the highest character in use

struct Tables {
  std::array<char32_t, 256> character{};
  std::array<int, kCharacters> byte{};  // -1: no byte
};

constexpr bool is_itself(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr Tables make_tables() {
  Tables tables;
  tables.byte.fill(-1);
  char32_t next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t character = is_itself(byte) ? byte : next++;
    tables.character[byte] = character;
    tables.byte[character] = static_cast<int>(byte);
  }
  return tables;
}
constexpr Tables kTables = make_tables();

}  // namespace

char32_t byte_level_character(unsigned char byte) {
  return kTables.character[byte];
}

std::string byte_level_spell(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    utf8_append(spelling, kTables.character[static_cast<unsigned char>(byte)]);
  }
  return spelling;
}

std::optional<std::string> byte_level_bytes(std::string_view spelling) {
  std::string bytes;
  for (std::size_t at = 0; at < spelling.size();) {
    const auto length = utf8_length(spelling, at);
    if (length == 0) {
      return std::nullopt;
    }
    const auto character = utf8_decode(spelling, at, length);
    if (character >= kCharacters || kTables.byte[character] < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(kTables.byte[character]));
    at += length;
  }
  return bytes;
}

}  // namespace shardrift
