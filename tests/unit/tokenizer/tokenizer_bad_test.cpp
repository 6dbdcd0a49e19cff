// Tokenizer files that are wrong, or that this version does not compute.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/error.hpp"
#include "tokenizer_files.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

json good() {
  return json::parse(R"({
    "normalizer": null,
    "added_tokens": [{"id": 3, "content": "<s>", "special": true, "normalized": false}],
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\s+"}, "behavior": "Isolated"}, {"type": "ByteLevel"}]},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}})");
}

// The message for `document` names the file and every one of `parts`.
void expect_refused(const std::string& document, const std::vector<std::string>& parts) {
  const TemporaryFile file(document);
  try {
    Tokenizer::open(file.path());
    ADD_FAILURE() << "accepted: " << document.substr(0, 300);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), testing::StartsWith(file.path().string()));
    for (const auto& part : parts) {
      EXPECT_THAT(error.what(), HasSubstr(part));
    }
  }
}

// What a table row replaces, and what the message must then say.
struct Bad {
  const char* pointer;  // JSON pointer of what is replaced; removed where the value is "REMOVE"
  const char* value;
  std::vector<std::string> message;
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.pointer << " = " << bad.value;
}

class BadTokenizer : public testing::TestWithParam<Bad> {};

TEST_P(BadTokenizer, IsRefusedByName) {
  auto document = good();
  const json::json_pointer pointer(GetParam().pointer);
  if (std::string(GetParam().value) == "REMOVE") {
    document.at(pointer.parent_pointer()).erase(pointer.back());
  } else {
    document[pointer] = json::parse(GetParam().value);
  }
  expect_refused(document.dump(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadTokenizer,
    testing::Values(
        Bad{"/normalizer",
            R"({"type": "Precompiled", "precompiled_charsmap": ""})",
            {"normalizer", "Precompiled", "NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, Lowercase"}},
        Bad{"/normalizer",
            R"({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "BertNormalizer"}]})",
            {"normalizers[1]", "BertNormalizer"}},
        Bad{"/normalizer", R"("x")", {"normalizer", "no type"}},
        Bad{"/normalizer", R"({"type": "Prepend"})", {"normalizer", "prepend is missing"}},
        Bad{"/normalizer", R"({"type": "Replace", "content": ""})", {"normalizer", "pattern is missing"}},
        Bad{"/normalizer",
            R"({"type": "Replace", "pattern": {"String": " "}})",
            {"normalizer", "content is missing"}},
        Bad{"/normalizer", R"({"type": "Strip", "strip_left": 1})", {"normalizer", "strip_left is 1"}},
        Bad{"/model", "REMOVE", {"model is missing"}},
        Bad{"/model/type", R"("Unigram")", {"model", "Unigram", "BPE"}},
        Bad{"/model", R"({"vocab": {"a": 0}})", {"type is missing"}},
        Bad{"/model/dropout", "0.1", {"dropout is 0.1"}},
        Bad{"/model/type", R"("WordPiece")", {"model", "WordPiece", "BPE"}},
        Bad{"/model/unk_token", "0", {"unk_token is 0"}},
        Bad{"/model/byte_fallback", "1", {"byte_fallback is 1"}},
        Bad{"/model/ignore_merges", "\"yes\"", {"ignore_merges", "yes"}},
        Bad{"/model/continuing_subword_prefix", R"("##")", {"continuing_subword_prefix", "##"}},
        Bad{"/model/end_of_word_suffix", R"("</w>")", {"end_of_word_suffix", "</w>"}},
        Bad{"/model/vocab", "[]", {"vocab is []"}}, Bad{"/model/vocab", "{}", {"vocab is {}"}},
        Bad{"/model/vocab", "REMOVE", {"vocab is missing"}}, Bad{"/model/vocab/b", "-1", {"\"b\"", "-1"}},
        Bad{"/model/vocab/b", "1.5", {"\"b\"", "1.5"}}, Bad{"/model/vocab/b", "2147483647", {"2147483647"}},
        Bad{"/model/vocab/b", "99999999999999999999999", {"999999e+22"}},
        Bad{"/model/vocab/b", "0", {"the same id, 0"}}, Bad{"/model/merges", "REMOVE", {"merges is missing"}},
        Bad{"/model/merges/0", R"("a b c")", {"merges[0]", "a b c"}},
        Bad{"/model/merges/0", R"("ab")", {"merges[0]", "ab"}},
        Bad{"/model/merges/0", "3", {"merges[0]", "3"}},
        Bad{"/model/merges/0", R"(["a", "z"])", {"merges[0]", "\"z\" is not in the vocabulary"}},
        Bad{"/model/merges/0", R"(["b", "a"])", {"merges[0]", "\"ba\" is not in the vocabulary"}},
        Bad{"/pre_tokenizer", R"({"type": "Metaspace"})", {"pre_tokenizer", "replacement is missing"}},
        Bad{"/pre_tokenizer",
            R"({"type": "Metaspace", "replacement": "ab"})",
            {"pre_tokenizer", "replacement is \"ab\"", "one character"}},
        Bad{"/pre_tokenizer",
            R"({"type": "Metaspace", "replacement": "_", "prepend_scheme": "sometimes"})",
            {"prepend_scheme is \"sometimes\"", "always", "first", "never"}},
        Bad{"/pre_tokenizer",
            R"({"type": "Metaspace", "replacement": "_", "add_prefix_space": false})",
            {"add_prefix_space is false", "never"}},
        Bad{"/pre_tokenizer/pretokenizers", "3", {"pretokenizers is 3"}},
        Bad{"/pre_tokenizer/pretokenizers/0", "3", {"pretokenizers[0]", "no type"}},
        Bad{"/pre_tokenizer/pretokenizers/0/type", R"("Whitespace")", {"pretokenizers[0]", "Whitespace"}},
        Bad{"/pre_tokenizer/pretokenizers/1/use_regex", "0", {"pretokenizers[1]", "use_regex is 0"}},
        Bad{"/pre_tokenizer/pretokenizers/0/behavior", R"("Sometimes")", {"behavior is \"Sometimes\""}},
        Bad{"/pre_tokenizer/pretokenizers/0/behavior", "REMOVE", {"behavior is missing"}},
        Bad{"/pre_tokenizer/pretokenizers/0/invert", R"("no")", {"invert is \"no\""}},
        Bad{"/pre_tokenizer/pretokenizers/0/pattern", R"("x")", {"pattern is \"x\""}},
        Bad{"/pre_tokenizer/pretokenizers/0/pattern", R"({"Glob": "x"})", {"pattern is", "Glob"}},
        Bad{"/pre_tokenizer/pretokenizers/0/pattern/Regex", R"("")", {"pattern is"}},
        Bad{"/pre_tokenizer/pretokenizers/0/pattern/Regex",
            R"("(a")",
            {"pretokenizers[0]", "\"(a\"", "compiled"}},
        Bad{"/post_processor/type", R"("BartProcessing")", {"post_processor", "BartProcessing"}},
        Bad{"/post_processor/type", R"("BertProcessing")", {"post_processor", "cls is missing"}},
        Bad{"/post_processor",
            R"({"type": "RobertaProcessing", "cls": ["a", 0], "sep": ["b", "c"]})",
            {"sep", "\"c\""}},
        Bad{"/post_processor/single", "REMOVE", {"single is missing"}},
        Bad{"/post_processor/single/1/Sequence/id", R"("B")", {"single[1]", "\"B\""}},
        Bad{"/post_processor/single/1", "3", {"single[1]", "3"}},
        Bad{"/post_processor/single", R"([{"SpecialToken": {"id": "<s>"}}])", {"no Sequence A"}},
        Bad{"/post_processor/special_tokens/<s>", "REMOVE", {"special_tokens", "<s>"}},
        Bad{"/post_processor/special_tokens/<s>/ids/0", "-3", {"-3", "<s>"}},
        Bad{"/decoder", "3", {"decoder", "no type"}},
        Bad{"/decoder/type", R"("WordPiece")", {"decoder", "WordPiece", "ByteFallback"}},
        Bad{"/decoder",
            R"({"type": "Sequence", "decoders": [{"type": "Strip"}]})",
            {"decoders[0]", "content is missing"}},
        Bad{"/decoder", R"({"type": "Strip", "content": " ", "start": -1})", {"start is -1"}},
        Bad{"/decoder", R"({"type": "Strip", "content": "", "start": 1})", {"content is \"\""}},
        Bad{"/added_tokens", "{}", {"added_tokens", "no list"}},
        Bad{"/added_tokens/0/id", "\"3\"", {"added_tokens[0]", "id is \"3\""}},
        Bad{"/added_tokens/0/content", "REMOVE", {"added_tokens[0]", "content is missing"}},
        Bad{"/added_tokens/0/lstrip", "1", {"added_tokens[0]", "lstrip is 1"}},
        Bad{"/added_tokens/1",
            R"({"id": 3, "content": "<s>", "normalized": true})",
            {"added_tokens[1]", "\"<s>\" is listed twice", "normalized"}},
        Bad{"/pre_tokenizer/pretokenizers/0",
            R"({"type": "Punctuation", "behavior": "Never"})",
            {"pretokenizers[0]", "behavior is \"Never\""}}));

TEST(Tokenizer, AddedTokensThatNormalizeToOneText) {
  auto document = good();
  document["normalizer"] = {{"type", "NFC"}};
  for (const auto* content : {"e\u0301", "\u00e9"})
    document["added_tokens"].push_back({{"id", 4}, {"content", content}, {"normalized", true}});
  expect_refused(document.dump(), {"added_tokens", "once normalized"});
}

TEST(Tokenizer, ReplacementsThatGrowWithoutEnd) {
  auto document = good();
  const nlohmann::json doubling = {
      {"type", "Replace"}, {"pattern", {{"Regex", "."}}}, {"content", std::string(1000, 'a')}};
  document["normalizer"] = {{"type", "Sequence"}, {"normalizers", {doubling, doubling, doubling, doubling}}};
  try {
    tokenizer_of(document.dump()).encode("ab");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("normalizers[2]"), HasSubstr("makes more than")));
  }
}

TEST(Tokenizer, TheGoodOneIsGood) {
  EXPECT_THAT(tokenizer_of(good().dump()).encode("ab<s>b"), testing::ElementsAre(3, 2, 3, 1));
  EXPECT_THAT(tokenizer_of(good().dump()).encode("ab", false), testing::ElementsAre(2));
}

TEST(Tokenizer, NoJson) {
  expect_refused("", {"not valid JSON"});
  expect_refused("{", {"not valid JSON"});
  expect_refused("[1]", {"object is expected", "[1]"});
  expect_refused("{\"a\": \"\xFF\"}", {"not valid JSON"});
  expect_refused(R"({"model": 1, "model": 2})", {"\"model\"", "twice"});
  expect_refused(R"({"a":)" + std::string(100000, '['), {"nested deeper than 64"});
  EXPECT_THROW(Tokenizer::open("/nonexistent/tokenizer.json"), Error);
  EXPECT_THROW(Tokenizer::open("/tmp"), Error);
}

// Random changes to a whole file: an Error or a working tokenizer, never a crash.
TEST(Tokenizer, Mutations) {
  std::mt19937 random(20240607);
  const auto pick = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  const std::string seed = good().dump();
  const std::vector<std::string> pieces = {"null",
                                           "true",
                                           "-1",
                                           "1e999",
                                           "\"\"",
                                           "[]",
                                           "{}",
                                           "\\\\s",
                                           "\\\\p{Lu}",
                                           "(?i:",
                                           "(?!",
                                           "[^",
                                           "]",
                                           ")+",
                                           "*",
                                           "{2}",
                                           "|",
                                           "Removed",
                                           "Contiguous",
                                           "Sequence",
                                           "Digits",
                                           "\"Regex\":",
                                           "\xC3",
                                           "\\u0000",
                                           "\\ud800",
                                           "9223372036854775808",
                                           ",",
                                           ":",
                                           "\"",
                                           "}",
                                           "18446744073709551616",
                                           "a",
                                           " b"};
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text = seed;
    for (std::size_t n = 1 + pick(4); n > 0; --n) {
      const auto at = pick(text.size());
      switch (pick(4)) {
        case 0:
          text[at] = static_cast<char>(pick(256));
          break;
        case 1:
          text.erase(at, 1 + pick(12));
          break;
        case 2:
          text.insert(at, pieces[pick(pieces.size())]);
          break;
        default:
          text.insert(at, text.substr(pick(text.size()), pick(20)));
      }
    }
    try {
      const auto tokenizer = tokenizer_of(text);
      ++accepted;
      const auto ids = tokenizer.encode("abba  <s> 12\n漢ab<s>");
      tokenizer.decode(ids);
      tokenizer.token_text(static_cast<std::int32_t>(tokenizer.size()));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      EXPECT_LT(std::string(error.what()).size(), 700U);
    }
  }
  EXPECT_GT(accepted, 20);  // the mutations are not all plain syntax errors
}

}  // namespace
}  // namespace shardrift
