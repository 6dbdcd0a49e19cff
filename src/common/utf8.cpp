#include "common/utf8.hpp"

namespace shardrift {
namespace {

struct Sequence {
  std::size_t expected = 0;  // bytes of the character its first byte announces, 0: no first byte
  std::size_t good = 0;      // how many of them are there and allowed
};

// Unicode table 3-7: only the second byte's range depends on the first.
Sequence examine(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  unsigned low = 0x80;
  unsigned high = 0xBF;
  Sequence sequence;
  if (first < 0x80) {
    return {1, 1};
  }
  if (first >= 0xC2 && first <= 0xDF) {
    sequence.expected = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    sequence.expected = 3;
    low = first == 0xE0 ? 0xA0 : low;
    high = first == 0xED ? 0x9F : high;
  } else if (first >= 0xF0 && first <= 0xF4) {
    sequence.expected = 4;
    low = first == 0xF0 ? 0x90 : low;
    high = first == 0xF4 ? 0x8F : high;
  } else {
    return {0, 0};
  }
  sequence.good = 1;
  while (sequence.good < sequence.expected && at + sequence.good < text.size()) {
    const unsigned next = byte(at + sequence.good);
    if (next < low || next > high) {
      break;
    }
    low = 0x80;
    high = 0xBF;
    ++sequence.good;
  }
  return sequence;
}

}  // namespace

std::size_t utf8_length(std::string_view text, std::size_t at) {
  if (at >= text.size()) {
    return 0;
  }
  const auto sequence = examine(text, at);
  return sequence.good == sequence.expected ? sequence.expected : 0;
}

char32_t utf8_decode(std::string_view text, std::size_t at, std::size_t length) {
  const auto first = static_cast<unsigned char>(text[at]);
  char32_t character = length == 1 ? first : first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    character = (character << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
  }
  return character;
}

void utf8_append(std::string& text, char32_t character) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto tail = [&](int shift) { put(0x80 | ((character >> shift) & 0x3F)); };
  if (character < 0x80) {
    put(character);
  } else if (character < 0x800) {
    put(0xC0 | (character >> 6));
    tail(0);
  } else if (character < 0x10000) {
    put(0xE0 | (character >> 12));
    tail(6);
    tail(0);
  } else {
    put(0xF0 | (character >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

std::size_t utf8_valid_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const auto length = utf8_length(text, at);
    if (length == 0) {
      break;
    }
    at += length;
  }
  return at;
}

std::string utf8_lossy(std::string_view bytes) {
  std::string text;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto sequence = examine(bytes, at);
    if (sequence.expected != 0 && sequence.good == sequence.expected) {
      text.append(bytes.substr(at, sequence.good));
    } else {
      utf8_append(text, U'\uFFFD');
    }
    at += sequence.good == 0 ? 1 : sequence.good;
  }
  return text;
}

}  // namespace shardrift
