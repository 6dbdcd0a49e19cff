// Ids equal to Hugging Face `tokenizers`: data/ was written by make_fixtures.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "tokenizer/normalizer.hpp"
#include "tokenizer/punctuation.hpp"
#include "tokenizer/regex.hpp"
#include "common/utf8.hpp"
#include "tokenizer_files.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

void expect_cases(const Tokenizer& tokenizer, const json& cases) {
  ASSERT_GT(cases.size(), 5U);
  for (const auto& row : cases) {
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<Ids>();
    EXPECT_EQ(tokenizer.encode(text), ids) << json(text);
    if (row.contains("plain")) {
      EXPECT_EQ(tokenizer.encode(text, false), row.at("plain").get<Ids>()) << json(text);
      EXPECT_EQ(tokenizer.decode(ids), row.at("decoded").get<std::string>()) << json(text);
    }
  }
}

TEST(Tokenizer, SmallTokenizerLikeSmolLM2) {
  expect_cases(Tokenizer::open(fixture("small.tokenizer.json")),
               read_json(fixture("small.ids.json")).at("cases"));
}

TEST(Tokenizer, SmallTokenizerLikeLlama3WithTemplateAndMergesAsStrings) {
  expect_cases(Tokenizer::open(fixture("llama3.tokenizer.json")),
               read_json(fixture("llama3.ids.json")).at("cases"));
}

TEST(Tokenizer, EveryPreTokenizerSetting) {
  const auto small = read_json(fixture("small.tokenizer.json"));
  const auto variants = read_json(fixture("variants.ids.json")).at("variants");
  ASSERT_GT(variants.size(), 20U);
  for (const auto& variant : variants) {
    SCOPED_TRACE(variant.at("name").get<std::string>());
    auto document = small;
    for (const auto& [key, value] : variant.at("patch").items()) {
      if (key == "model") {
        document[key].update(value);
      } else {
        document[key] = value;
      }
    }
    expect_cases(tokenizer_of(document.dump()), variant.at("cases"));
  }
}

// Llama 2's, Mistral's, Gemma's, Phi-3's and InternLM2's shape, and every part of them in other settings.
TEST(Tokenizer, FamiliesWithSentencePieceVocabularies) {
  const auto base = read_json(fixture("sentencepiece.tokenizer.json"));
  const auto all = read_json(fixture("sentencepiece.ids.json"));
  const auto texts = all.at("texts").get<std::vector<std::string>>();
  ASSERT_GT(texts.size(), 40U);
  ASSERT_GT(all.at("variants").size(), 25U);
  for (const auto& variant : all.at("variants")) {
    SCOPED_TRACE(variant.at("name").get<std::string>());
    auto document = base;
    for (const auto& [key, value] : variant.at("patch").items()) {
      if (key == "model") {
        document[key].update(value);
      } else if (key == "without") {
        for (const auto& piece : value) document["model"]["vocab"].erase(piece.get<std::string>());
      } else {
        document[key] = value;
      }
    }
    const auto tokenizer = tokenizer_of(document.dump());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto ids = variant.at("ids").at(i).get<Ids>();
      EXPECT_EQ(tokenizer.encode(texts[i]), ids) << json(texts[i]);
      const auto& decoded = variant.at("decoded").at(i);
      EXPECT_EQ(tokenizer.decode(ids), decoded.is_null() ? texts[i] : decoded.get<std::string>())
          << json(texts[i]);
    }
  }
}

TEST(Tokenizer, TokensOfSentencePieceVocabulariesKeepTheirSpaces) {
  const auto document = read_json(fixture("sentencepiece.tokenizer.json"));
  const auto& vocabulary = document.at("model").at("vocab");
  const auto id = [&](const char* token) { return vocabulary.at(token).get<std::int32_t>(); };
  auto metaspace = document;
  metaspace["decoder"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}};
  for (const auto& tokenizer : {tokenizer_of(document.dump()), tokenizer_of(metaspace.dump())}) {
    EXPECT_EQ(tokenizer.token_text(id("\u2581the")), " the");
    EXPECT_EQ(tokenizer.token_text(id("er")), "er");
    EXPECT_EQ(tokenizer.token_text(1), "<s>");
    EXPECT_EQ(tokenizer.decode({id("\u2581the"), id("\u2581the")}), "the the");
  }
  EXPECT_EQ(tokenizer_of(document.dump()).token_text(id("<0x41>")), "A");
  EXPECT_EQ(tokenizer_of(document.dump()).token_text(id("<0xE6>")), "\uFFFD");
}

TEST(Tokenizer, AddedTokensGetTheIdsThatTokenizersGives) {
  auto document = read_json(fixture("small.tokenizer.json"));
  const auto lists = read_json(fixture("added.ids.json")).at("lists");
  ASSERT_GT(lists.size(), 10U);
  for (const auto& list : lists) {
    const auto name = list.at("name").get<std::string>();
    SCOPED_TRACE(name);
    document["added_tokens"] = list.at("added_tokens");
    document["normalizer"] = name.find("normal") == std::string::npos ? json() : json{{"type", "NFC"}};
    const auto tokenizer = tokenizer_of(document.dump());
    expect_cases(tokenizer, list.at("cases"));
    const auto& notes = tokenizer.notes();
    if (name == "listed twice" || name == "normalized") {
      EXPECT_THAT(notes, testing::IsEmpty());
    } else if (name == "far id") {
      EXPECT_THAT(notes, ElementsAre(AllOf(HasSubstr("added_tokens[3]: \"QQ\" has the id 700"),
                                           HasSubstr("600"), HasSubstr("next free"))));
    } else if (name == "one id for two") {
      EXPECT_EQ(notes.size(), 1U);
    }
  }
}

TEST(Tokenizer, WithoutATypeWhatHasMergesIsBpe) {
  auto document = read_json(fixture("small.tokenizer.json"));
  document["model"].erase("type");
  expect_cases(tokenizer_of(document.dump()), read_json(fixture("small.ids.json")).at("cases"));
}

// Every character that both Oniguruma and the one inside `tokenizers` know: one version may be newer than the
// other.
void expect_members(std::string_view pattern, const json& ranges, const json& unassigned) {
  const Regex regex(pattern, "test");
  const Regex not_here(R"(\p{Cn})", "test");
  ASSERT_GT(ranges.size(), 100U);
  const auto holds = [](const json& list, std::size_t& at, char32_t c) {
    while (at < list.size() && c > list[at][1].get<char32_t>()) ++at;
    return at < list.size() && c >= list[at][0].get<char32_t>();
  };
  std::size_t next = 0;
  std::size_t next_unassigned = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (holds(unassigned, next_unassigned, c)) continue;
    std::string text;
    utf8_append(text, c);
    if (!not_here.find_all(text).empty()) continue;
    EXPECT_EQ(!regex.find_all(text).empty(), holds(ranges, next, c))
        << std::hex << static_cast<std::uint32_t>(c);
  }
}

TEST(Tokenizer, ClassesHoldTheCharactersOfTheLibraries) {
  const auto unicode = read_json(fixture("unicode.json"));
  const auto& unassigned = unicode.at("unassigned");
  expect_members(R"(\w)", unicode.at("word"), unassigned);
  expect_members(R"([^\W])", unicode.at("word in a class"), unassigned);
  expect_members(fmt::format("[{}]", kPunctuation), unicode.at("punctuation"), unassigned);
}

TEST(Tokenizer, PutsEveryCharacterIntoTheFormsThatTheLibraryDoes) {
  constexpr std::u32string_view kMarks =
      U"\u0334\u093c\u3099\u094d\u05b0\u0e38\u0f71\u0321\u0323\u0301\u0315\u035c\u0345\u302a\u1dce";
  const auto unicode = read_json(fixture("unicode.json"));
  ASSERT_EQ(unicode.at("forms").size(), 4U);
  for (const auto& [form, expected] : unicode.at("forms").items()) {
    const json description = {{"type", form}};
    const auto normalizer = Normalizer::from_json(&description, "test");
    Sha256 digest;
    for (char32_t c = 0; c < 0x110000; ++c) {
      if ((c >= 0xD800 && c < 0xE000) || (c >= 0x40000 && (c < 0xE0000 || c >= 0xE0200))) continue;
      std::string character;
      utf8_append(character, c);
      std::string text = character + "|";
      for (const auto m : kMarks) {
        std::string mark;
        utf8_append(mark, m);
        text.append("a").append(mark).append(character).append("|a").append(character).append(mark).append(
            "|");
      }
      digest.update(normalizer.normalized(text));
    }
    EXPECT_EQ(digest.hex(), expected.get<std::string>()) << form;
  }
}

TEST(Tokenizer, MakesEveryLetterSmallAsTheLibraryDoes) {
  const auto unicode = read_json(fixture("unicode.json"));
  const json description = {{"type", "Lowercase"}};
  const auto normalizer = Normalizer::from_json(&description, "test");
  Sha256 digest;
  auto unassigned = unicode.at("unassigned").begin();
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    while (unassigned != unicode.at("unassigned").end() && c > (*unassigned)[1].get<char32_t>()) ++unassigned;
    if (unassigned != unicode.at("unassigned").end() && c >= (*unassigned)[0].get<char32_t>()) continue;
    std::string text;
    utf8_append(text, c);
    digest.update(normalizer.normalized(text));
  }
  EXPECT_EQ(digest.hex(), unicode.at("small").get<std::string>());
}

// A text of scripts/chat-prompts, "special_tokens": false, has the ids of transformers' apply_chat_template.
TEST(Tokenizer, ChatsAreEncodedAsTransformersDoes) {
  const auto tokenizer = Tokenizer::open(fixture("small.tokenizer.json"));
  int compared = 0;
  const auto all = read_json(fixture("chat.cases.json"));
  for (const auto& one : all.at("cases")) {
    for (const auto& chat : one.at("chats")) {
      if (!chat.contains("ids")) continue;
      ++compared;
      EXPECT_EQ(tokenizer.encode(chat.at("expected").get<std::string>(), false),
                json::parse(chat.at("ids").get<std::string>()).get<Ids>())
          << one.at("name");
    }
  }
  EXPECT_EQ(compared, 24);
}

TEST(Tokenizer, RealSmolLM2) {
  const char* other = std::getenv("SHARDRIFT_SMOLLM2");
  const std::filesystem::path path =
      other != nullptr ? other : SHARDRIFT_SOURCE_DIR "/models/smollm2-135m/tokenizer.json";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << path << " is not there: run scripts/fetch-model, then this test again";
  }
  const auto tokenizer = Tokenizer::open(path);
  EXPECT_EQ(tokenizer.size(), 49152);
  expect_cases(tokenizer, read_json(fixture("smollm2.ids.json")).at("cases"));
}

TEST(Tokenizer, TokenTexts) {
  const auto tokenizer = Tokenizer::open(fixture("small.tokenizer.json"));
  const auto document = read_json(fixture("small.tokenizer.json"));
  const auto& vocabulary = document.at("model").at("vocab");
  EXPECT_EQ(tokenizer.token_text(0), "<|endoftext|>");
  EXPECT_EQ(tokenizer.token_text(vocabulary.at("A").get<std::int32_t>()), "A");
  EXPECT_EQ(tokenizer.token_text(vocabulary.at("Ġ").get<std::int32_t>()), " ");
  EXPECT_EQ(tokenizer.token_text(vocabulary.at("Ċ").get<std::int32_t>()), "\n");
  EXPECT_EQ(tokenizer.token_text(vocabulary.at("æ").get<std::int32_t>()), "\uFFFD");  // the byte E6 alone
  EXPECT_EQ(tokenizer.token_text(-1), "");
  EXPECT_EQ(tokenizer.token_text(1 << 30), "");
  EXPECT_EQ(tokenizer.size(), 608);  // 600 of the vocabulary, 8 added
  EXPECT_EQ(tokenizer.token_text(607), "   ");
}

TEST(Tokenizer, EveryByteHasAnIdAndDecodesToItself) {
  const auto tokenizer = Tokenizer::open(fixture("small.tokenizer.json"));
  std::string text;
  for (char32_t c = 1; c < 0x3000; c += 7) {
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else if (c < 0x800) {
      text += {static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
    } else {
      text += {static_cast<char>(0xE0 | (c >> 12)), static_cast<char>(0x80 | ((c >> 6) & 0x3F)),
               static_cast<char>(0x80 | (c & 0x3F))};
    }
  }
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(Tokenizer, DecodingBrokenCharacters) {
  const auto tokenizer = Tokenizer::open(fixture("small.tokenizer.json"));
  const auto document = read_json(fixture("small.tokenizer.json"));
  const auto id = [&](const char* token) {
    return document.at("model").at("vocab").at(token).get<std::int32_t>();
  };
  // Bytes F0 9F 98 (a cut-off emoji) are one U+FFFD, E6 followed by 'A' one and the 'A'.
  EXPECT_EQ(tokenizer.decode({id("ð"), id("Ł"), id("ĺ")}), "\uFFFD");
  EXPECT_EQ(tokenizer.decode({id("æ"), id("A"), 1 << 30}), "\uFFFDA");
  EXPECT_EQ(tokenizer.decode({}), "");
}

TEST(Tokenizer, InvalidUtf8IsRefused) {
  const auto tokenizer = Tokenizer::open(fixture("small.tokenizer.json"));
  for (const std::string bad :
       {"ab\xFF", "ab\xC0\x80", "ab\xED\xA0\x80", "ab\xF4\x90\x80\x80", "ab\xE6\x9C", "ab\x80"}) {
    try {
      tokenizer.encode(bad);
      ADD_FAILURE() << json(bad.size());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      EXPECT_THAT(error.what(), testing::HasSubstr("offset 2"));
    }
  }
}

// A small vocabulary by hand, where the order of merges shows.
std::string by_hand(const json& merges, const json& more = json::object()) {
  json vocabulary = {{"a", 0},   {"b", 1},  {"c", 2}, {"ab", 3}, {"bc", 4},
                     {"abc", 5}, {"aa", 6}, {"Ġ", 7}, {"Ġa", 8}};
  json document = {{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}}},
                   {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                   {"decoder", {{"type", "ByteLevel"}}}};
  document.merge_patch(more);
  return document.dump();
}

TEST(Tokenizer, LowestRankFirstThenLeftmost) {
  EXPECT_THAT(tokenizer_of(by_hand({"b c", "a b"})).encode("abc"), ElementsAre(0, 4));
  EXPECT_THAT(tokenizer_of(by_hand({"a b", "b c"})).encode("abc"), ElementsAre(3, 2));
  EXPECT_THAT(tokenizer_of(by_hand({"b c", "a bc"})).encode("abcabc"), ElementsAre(5, 5));
  EXPECT_THAT(tokenizer_of(by_hand({"a a"})).encode("aaaaa"), ElementsAre(6, 6, 0));
  EXPECT_THAT(tokenizer_of(by_hand({"a b", "b c", "a b"})).encode("abc"),
              ElementsAre(0, 4));  // the later counts
  EXPECT_THAT(tokenizer_of(by_hand({"a a"})).encode("axa"),
              ElementsAre(6));  // no token for x: it is left out
  const auto unknown = tokenizer_of(by_hand({"a a"}, {{"model", {{"unk_token", "<unk>"}}}}));
  EXPECT_THAT(unknown.encode("aa"), ElementsAre(6));
  try {
    unknown.encode("axa");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("unk_token, \"<unk>\""), HasSubstr(".json: model")));
  }
}

TEST(Tokenizer, IgnoreMergesAndPrefixSpace) {
  EXPECT_THAT(tokenizer_of(by_hand(json::array())).encode("abc"), ElementsAre(0, 1, 2));
  const json ignore = {{"model", {{"ignore_merges", true}}}};
  EXPECT_THAT(tokenizer_of(by_hand(json::array(), ignore)).encode("abc"), ElementsAre(5));
  const json prefix = {{"pre_tokenizer", {{"add_prefix_space", true}}}};
  EXPECT_THAT(tokenizer_of(by_hand({"Ġ a"}, prefix)).encode("aa a"), ElementsAre(8, 0, 8));
}

TEST(Tokenizer, AllOrNoneOfALongWordInLittleTime) {
  const auto tokenizer = Tokenizer::open(fixture("small.tokenizer.json"));
  std::string text(200000, 'a');
  const std::clock_t start = std::clock();  // this process's own time, whatever else the machine does
  const auto ids = tokenizer.encode(text);
  const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(tokenizer.decode(ids), text);
  EXPECT_LT(took, 10.0);  // seconds; a quadratic merge takes minutes
}

}  // namespace
}  // namespace shardrift
