#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/error.hpp"
#include "tokenizer/regex.hpp"
#include "tokenizer/utf8.hpp"

namespace shardrift {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> found(std::string_view pattern, std::string_view text) {
  std::vector<std::string> all;
  for (const auto& [begin, end] : Regex(pattern, "test").find_all(text)) {
    all.emplace_back(text.substr(begin, end - begin));
  }
  return all;
}

// Every character for which `pattern` matches, counted over all of Unicode.
int count(std::string_view pattern) {
  const Regex regex(pattern, "test");
  int matches = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c < 0xD800 || c >= 0xE000) {
      std::string text;
      utf8_append(text, c);
      matches += static_cast<int>(regex.find_all(text).size());
    }
  }
  return matches;
}

TEST(Regex, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(count(R"(\s)"), 25);  // Unicode's White_Space
  EXPECT_EQ(count(R"([x\s])"), 26);
  EXPECT_EQ(count(R"(\S)"), 0x110000 - 2048 - 25);
  EXPECT_EQ(count(R"([\S])"), 0x110000 - 2048 - 25);
  EXPECT_EQ(count(R"([^\S\n])"), 24);
  EXPECT_TRUE(found(R"(\s)", "\u180e\u200b\u2060\ufeff").empty());
  EXPECT_EQ(found(R"(\s)", "\u0085\u00a0\u2028\u3000").size(), 4U);
}

TEST(Regex, ClassesInsideClasses) {
  EXPECT_EQ(count("[a-c[x-z]]"), 6);
  EXPECT_EQ(count("[^a-c[x-z]]"), 0x110000 - 2048 - 6);
  EXPECT_EQ(count(R"([a[^\x{0}-y]])"), 1 + 0x110000 - 2048 - 0x7A);
  EXPECT_EQ(count("[a-z&&[^aeiou]]"), 21);
  EXPECT_EQ(count("[^a-z&&[^aeiou]]"), 0x110000 - 2048 - 21);
  EXPECT_EQ(count(R"([^\W\d])"), count(R"(\w)") - count(R"(\d)"));
  EXPECT_THAT(found("[-a[-b^]-]", "-ab^c]"), ElementsAre("-", "a", "b", "^"));
  EXPECT_THAT(found("[a[^b]]{2}x", "bcaax"), ElementsAre("aax"));
}

TEST(Regex, LineEndsAsInRuby) {
  EXPECT_THAT(found(R"(^.)", "ab\ncd\n"), ElementsAre("a", "c"));
  EXPECT_THAT(found(R"(.$)", "ab\r\ncd"), ElementsAre("\r", "d"));
}

TEST(Regex, LookaheadSeesTheWholeText) {
  EXPECT_THAT(found(R"(\s+(?!\S)|\s+)", "a   b  "), ElementsAre("  ", " ", "  "));
}

TEST(Regex, EmptyMatches) {
  EXPECT_THAT(found("x*", "axxb"), ElementsAre("", "xx", ""));
  EXPECT_THAT(found("", "aé"), ElementsAre("", "", ""));
}

TEST(Regex, ScriptsAreNotScriptExtensions) {
  // U+30FC is used by Hiragana and Katakana, its script is Common.
  EXPECT_TRUE(found(R"(\p{Katakana})", "\u30fc").empty());
  EXPECT_THAT(found(R"(\p{Han}+)", "a漢字b"), ElementsAre("漢字"));
}

TEST(Regex, LiteralMatchesItself) {
  const std::string text = "a.b*c\\d[e]{1,2}(?i:x)^$|+-#&&~\n\té";
  const auto regex = Regex::literal(text, "test");
  EXPECT_THAT(regex.find_all("x" + text + text),
              ElementsAre(Range{1, 1 + text.size()}, Range{1 + text.size(), 1 + 2 * text.size()}));
  EXPECT_TRUE(Regex::literal(".", "test").find_all("ab").empty());
}

TEST(Regex, WhatMeansSomethingElseIsRefusedByName) {
  const std::pair<const char*, const char*> bad[] = {
      {R"(\h)", "\\\\h"},
      {R"(\b)", "\\\\b"},
      {"[a-[b]]", "range that ends"},
      {"[[a]-z]", "range that begins"},
      {"[a&&]", "intersection"},
      {"[&&a]", "intersection"},
      {"[[:alpha:]]", "POSIX"},
      {"[[]a]", "empty class"},
      {"[[[[[[[[[a]]]]]]]]]", "nested deeper"},
      {"[a[b]", "closing bracket"},
      {"[a-&&b]", "range that ends"},
      {"(?i)a", "(?i"},
      {"(?m:.)", "(?m"},
      {"(?<name>a)", "(?<"},
      {"(*FAIL)", "(*"},
      {"a{,3}", "lower bound"},
      {"a{1,2}+", "interval"},
      {"a{2}?", "interval"},
      {R"(\pL)", "without braces"},
      {R"((a)\1)", "\\\\1"},
      {"[]a]", "empty class"},
      {R"(\xFF)", "\\\\x"},
      {R"([\s-x])", "range that begins"},
      {R"(\)", "lone"},
      {R"(\v)", "\\\\v"},
      {R"(\u12G4)", "\\\\u"},
      {R"(\Qa\E)", "\\\\Q"},
      {R"(\p{L)", "braces"},
  };
  for (const auto& [pattern, what] : bad) {
    try {
      const Regex regex(pattern, "FILE: key");
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      EXPECT_THAT(error.what(), testing::StartsWith("FILE: key: the regular expression")) << pattern;
      const std::string message = error.what();
      // The pattern is quoted as JSON, what is wrong with it as it stands.
      std::string plain = what;
      for (auto at = plain.find("\\\\"); at != std::string::npos; at = plain.find("\\\\")) {
        plain.replace(at, 2, "\\");
      }
      EXPECT_THAT(message.substr(message.rfind(" uses ")), HasSubstr(plain)) << pattern;
    }
  }
}

TEST(Regex, BrokenPatternsAreRefused) {
  for (const char* pattern :
       {"(", "a)", "[a", "*", "(?<=a+)b", R"(\p{Nonsense})", R"(\x{110000})", "(?i:a", "[b-a]"}) {
    EXPECT_THROW(Regex(pattern, "test"), Error) << pattern;
  }
}

TEST(Regex, EndlessBacktrackingIsAnErrorNotAHang) {
  const std::string text = std::string(60, 'a') + "!";
  try {
    Regex(R"((?:\p{L}+)+x|(?:a|a)*y)", "FILE: key").find_all(text);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("FILE: key"), HasSubstr("limit"), HasSubstr("61 bytes")));
  }
}

}  // namespace
}  // namespace shardrift
