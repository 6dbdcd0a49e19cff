// GPT-2's spelling of bytes as printable characters, in which byte-level BPE vocabularies are written.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace shardrift {

// The character that stands for a byte: itself for the printable ones of Latin-1, U+0100, U+0101, … for the
// other 68.
char32_t byte_level_character(unsigned char byte);
// Bytes to their spelling, in UTF-8.
std::string byte_level_spell(std::string_view bytes);
// The bytes that a spelling stands for; nullopt if it has a character that stands for no byte.
std::optional<std::string> byte_level_bytes(std::string_view spelling);

}  // namespace shardrift
