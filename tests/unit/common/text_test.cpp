#include "common/text.hpp"

#include <gmock/gmock.h>

#include <cstdint>
#include <regex>

#include "common/text_columns.hpp"
#include "common/utc_clock.hpp"

namespace shardrift {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Text, PartsBetweenSeparators) {
  EXPECT_THAT(split("a,b", ','), ElementsAre("a", "b"));
  EXPECT_THAT(split("a,,b", ','), ElementsAre("a", "", "b"));
  EXPECT_THAT(split("a,b,", ','), ElementsAre("a", "b"));
  EXPECT_THAT(split(",a", ','), ElementsAre("", "a"));
  EXPECT_THAT(split(",", ','), ElementsAre(""));
  EXPECT_THAT(split("", ','), IsEmpty());
}

TEST(Text, WordsBetweenSeparators) {
  EXPECT_THAT(split_words(" a ,, b\t,\r", ','), ElementsAre("a", "b"));
  EXPECT_THAT(split_words(" , ", ','), IsEmpty());
  EXPECT_EQ(trimmed("\t a b \r"), "a b");
  EXPECT_EQ(trimmed(" "), "");
  EXPECT_TRUE(is_blank(" \t\r"));
  EXPECT_FALSE(is_blank(" x"));
}

// A file's name may be anything; a terminal obeys some of it.
TEST(Text, LegibleIsNothingThatATerminalObeys) {
  EXPECT_EQ(legible("tp2"), "tp2");
  EXPECT_EQ(legible("größer \"2\" \\ 日本"), "größer \"2\" \\ 日本");
  EXPECT_EQ(legible("a\nb\x1b[31m\r\x7f"), "a\\nb\\x1B[31m\\r\\x7F");
  EXPECT_EQ(legible("a\nb\x1b", Newlines::kept), "a\nb\\x1B");
  EXPECT_EQ(legible("\u202Etxt\u2066\u200F\u061C\u2028"), "\\u{202E}txt\\u{2066}\\u{200F}\\u{061C}\\u{2028}");
  EXPECT_EQ(legible("\u2027\u202F\u200D"), "\u2027\u202F\u200D");
  EXPECT_EQ(legible("\xC2\x9B\xFF"), "\\u009B\\xFF");
  EXPECT_EQ(quoted("\u202E\"", 20), "\"\\u{202E}\\\"\"");
}

TEST(Text, ANumberIsTheWholeText) {
  EXPECT_EQ(number_from<int>("-12"), -12);
  EXPECT_EQ(number_from<double>("0.5"), 0.5);
  for (const auto* text : {"", "1 ", " 1", "1x", "x", "+1", "0x1"})
    EXPECT_EQ(number_from<int>(text), std::nullopt) << text;
  EXPECT_EQ(number_from<std::int64_t>("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(number_from<std::int64_t>("9223372036854775808"), std::nullopt);
}

TEST(UtcClock, IsIso8601) {
  EXPECT_TRUE(std::regex_match(utc_now(), std::regex(R"(20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ)")))
      << utc_now();
}

}  // namespace
}  // namespace shardrift
