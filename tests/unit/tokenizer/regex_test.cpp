#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/error.hpp"
#include "tokenizer/regex.hpp"
#include "common/utf8.hpp"

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
  EXPECT_EQ(count(R"([^\W\d])"), count(R"([\w])") - count(R"(\d)"));
  EXPECT_EQ(count(R"([\w])"), count(R"(\w)") - 6);  // \u00b2 and its like: words by themselves only
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

// What other regular expressions spell otherwise or mean otherwise. Expected: `tokenizers`' Split.
TEST(Regex, PatternsMeanWhatOnigurumaSays) {
  constexpr std::string_view kText = "ab12 Ab\n--xyz aa aaa fi\ufb01 \u00df ss ___ caf\u00e9 \t\u6f22\u30fc";
  const std::pair<const char*, std::vector<std::string>> patterns[] = {
      {R"(\h+)", {"ab12", "Ab", "aa", "aaa", "f", "caf"}},
      {R"(\bA)", {"A"}},
      {"[[:alpha:]]+",
       {"ab", "Ab", "xyz", "aa", "aaa", "fi\ufb01", "\u00df", "ss", "caf\u00e9", "\u6f22\u30fc"}},
      {"(?m:a.*z)", {"ab12 Ab\n--xyz"}},
      {R"((?<n>a)\k<n>)", {"aa", "aa"}},
      {R"((a)\1)", {"aa", "aa"}},
      {"a{,2}b", {"ab", "b"}},
      {"a{1,2}+", {"a", "aa", "aaa", "a"}},
      {"a{2}?x|(?<=a)b", {"b", "x"}},
      {"(?<=a+)b", {"b"}},
      {R"(\pL|\v|\xFF|(*FAIL)|\Qa)", {}},
      {"(?i)A", {"a", "A", "a", "a", "a", "a", "a", "a"}},
      {"(?i:fi)", {"fi", "\ufb01"}},
      {"(?i:ss)", {"\u00df", "ss"}},
      {"[]a]b", {"ab"}},
      {"[a-[b]]2|[a-[b]]1", {"b1"}},
      {"[[a]-z]+", {"a", "--", "z", "aa", "aaa", "a"}},
      {"[a&&]|[&&a]", {}},
      {"a(?#c)b", {"ab"}},
      {R"(a\Kb)", {"b"}},
      {R"(\u0041)", {"A"}},
      {R"(\R)", {"\n"}},
      {R"(\N+b)", {"ab12 Ab"}},
      {R"([\p{Katakana}\u30fc])", {"\u30fc"}},
      {R"((?:\p{Han}|\p{^L})+)", {"12 ", "\n--", " ", " ", " ", " ", " ", " ___ ", " \t\u6f22"}},
  };
  for (const auto& [pattern, expected] : patterns) {
    EXPECT_EQ(found(pattern, kText), expected) << pattern;
  }
}

TEST(Regex, BrokenPatternsAreRefused) {
  for (const char* pattern :
       {"(", "a)", "[a", "*", R"(\p{Nonsense})", "(?i:a", "[b-a]", R"([a-\d])", R"(\)", "(?<n>a)(?<n",
        R"(\k<n>)", "a{100001}", "[]", R"([\s-x])", "(?a:x)", R"(\p{L)"}) {
    try {
      const Regex regex(pattern, "FILE: key");
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      EXPECT_THAT(error.what(), testing::StartsWith("FILE: key: the regular expression")) << pattern;
      EXPECT_THAT(error.what(), HasSubstr(" cannot be compiled: ")) << pattern;
    }
  }
  EXPECT_THROW(Regex(std::string(100000, 'a'), "test"), Error);
  EXPECT_THROW(Regex(std::string(1000, '(') + std::string(1000, ')'), "test"), Error);
}

TEST(Regex, EndlessBacktrackingIsAnErrorNotAHang) {
  // One match that never ends, and a search that fails slowly at every place.
  for (const auto& [pattern, text] :
       {std::pair<const char*, std::string>{"^(?:a|aa)+$", std::string(60, 'a') + "!"},
        {R"(\s+$)", std::string(40000, ' ') + "!"}}) {
    try {
      Regex(pattern, "FILE: key").find_all(text);
      ADD_FAILURE() << pattern;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("FILE: key"), HasSubstr("limit"),
                                               HasSubstr(fmt::format("{} bytes", text.size()))));
    }
  }
}

TEST(Regex, LongTextsAreNoEndlessBacktracking) {
  const std::string text(1 << 20, ' ');
  EXPECT_EQ(Regex(R"(\s+(?!\S)|\s+)", "test").find_all(text + "x").size(), 2U);
  EXPECT_EQ(Regex(R"(\s+$)", "test").find_all(text).size(), 1U);
}

}  // namespace
}  // namespace shardrift
