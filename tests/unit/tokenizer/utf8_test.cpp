#include <gtest/gtest.h>

#include "tokenizer/byte_level.hpp"
#include "common/utf8.hpp"

namespace shardrift {
namespace {

TEST(Utf8, EveryCharacterThereAndBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) {
      continue;
    }
    std::string text;
    utf8_append(text, c);
    ASSERT_EQ(utf8_length(text, 0), text.size()) << std::uint32_t{c};
    ASSERT_EQ(utf8_decode(text, 0, text.size()), c);
  }
}

TEST(Utf8, LossyReplacesMaximalParts) {
  // Rust's String::from_utf8_lossy documentation and Unicode's table 3-8.
  EXPECT_EQ(utf8_lossy("Hello \xF0\x90\x80World"), "Hello \uFFFDWorld");
  EXPECT_EQ(utf8_lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(utf8_lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), "\uFFFD\uFFFD\uFFFD\uFFFD\x41");
  EXPECT_EQ(utf8_lossy(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
}

TEST(Utf8, ValidPrefix) {
  EXPECT_EQ(utf8_valid_prefix("añ漢😀"), 10U);
  EXPECT_EQ(utf8_valid_prefix("a\xC3"), 1U);
  EXPECT_EQ(utf8_valid_prefix("a\xF8\x88\x80\x80\x80"), 1U);
  EXPECT_EQ(utf8_valid_prefix(""), 0U);
}

TEST(ByteLevel, EveryByteThereAndBack) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) {
    bytes.push_back(static_cast<char>(byte));
  }
  const auto spelling = byte_level_spell(bytes);
  EXPECT_EQ(utf8_valid_prefix(spelling), spelling.size());
  EXPECT_EQ(byte_level_bytes(spelling), bytes);
  EXPECT_EQ(byte_level_spell(" \n\t!~\x7F\xA0\xAD\xFF"), "ĠĊĉ!~ġłŃÿ");
  EXPECT_EQ(byte_level_bytes("a b"), std::nullopt);   // the space itself spells nothing
  EXPECT_EQ(byte_level_bytes("ń"), std::nullopt);     // one beyond the last
  EXPECT_EQ(byte_level_bytes("\xFF"), std::nullopt);  // not UTF-8
}

}  // namespace
}  // namespace shardrift
