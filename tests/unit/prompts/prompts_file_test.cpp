// One parser for the worker and for studies: what one accepts or refuses, the other does.
#include "prompts/prompts_file.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "common/hash.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift {
namespace {

using record::testing::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Prompts : public testing::Test {
 protected:
  PromptsFile read(const std::string& text) {
    std::ofstream(scratch_ / "p.jsonl") << text;
    return read_prompts_file(scratch_ / "p.jsonl");
  }
  void expect_refused(const std::string& text, const std::string& message) {
    const auto error = error_of([&] { read(text); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("p.jsonl"), HasSubstr(message))) << text;
  }
  const record::testing::Scratch scratch_;
};

TEST_F(Prompts, TextsTokensAndBlankLines) {
  const std::string text =
      "{\"id\": \"a\", \"text\": \"x\", \"language\": \"en\"}\r\n \t\n{\"id\": \"b\", \"tokens\": [3, 1]}";
  const auto file = read(text);
  ASSERT_EQ(file.prompts.size(), 2U);
  EXPECT_EQ(file.prompts[0].text, "x");
  EXPECT_EQ(file.prompts[1].id, "b");
  EXPECT_THAT(file.prompts[1].tokens, ElementsAre(3, 1));
  EXPECT_FALSE(file.prompts[1].text.has_value());
  EXPECT_THAT(file.prompts[1].where, HasSubstr("p.jsonl line 3"));
  EXPECT_EQ(file.sha256, sha256_hex(text));
}

TEST_F(Prompts, NullMeansAbsent) {
  const auto file = read(
      "{\"id\": \"a\", \"text\": \"x\", \"tokens\": null}\n"
      "{\"id\": \"b\", \"text\": null, \"tokens\": [1], \"language\": null}");
  ASSERT_EQ(file.prompts.size(), 2U);
  EXPECT_EQ(file.prompts[0].text, "x");
  EXPECT_THAT(file.prompts[0].tokens, IsEmpty());
  EXPECT_FALSE(file.prompts[1].text.has_value());
  EXPECT_THAT(file.prompts[1].tokens, ElementsAre(1));
}

TEST_F(Prompts, WhatIsRefused) {
  expect_refused("", "holds no prompt");
  expect_refused("\n  \n", "holds no prompt");
  expect_refused("{\"id\": \"a\", \"tokens\": [1]}\n{\"id\":", "line 2: not valid JSON");
  expect_refused("[1]", "line 1: a JSON object is expected");
  expect_refused(R"({"tokens": [1]})", "id is missing");
  expect_refused(R"({"id": 3, "tokens": [1]})", "id is 3");
  expect_refused(R"({"id": "../a", "tokens": [1]})", "id '../a'");
  expect_refused(R"({"id": null, "tokens": [1]})", "id is missing");
  expect_refused(R"({"id": "a"})", "either \"text\" or \"tokens\"");
  expect_refused(R"({"id": "a", "text": null, "tokens": null})", "either \"text\" or \"tokens\"");
  expect_refused(R"({"id": "a", "text": "x", "tokens": [1]})", "either \"text\" or \"tokens\"");
  expect_refused(R"({"id": "a", "text": 3})", "text is 3");
  expect_refused("{\"id\": \"a\", \"tokens\": [1]}\n{\"id\": \"b\", \"text\": \"ab\xFF\"}\n",
                 "line 2: not valid JSON");
  expect_refused("{\"id\": \"b\", \"text\": \"ab\xFF\"}\n", "UTF-8");
  expect_refused(R"({"id": "a", "text": "x", "special_tokens": 0})", "special_tokens is 0");
  expect_refused(R"({"id": "a", "tokens": [1], "special_tokens": true})", "goes with \"text\"");
  expect_refused(R"({"id": "a", "tokens": "1"})", "tokens is \"1\"");
  expect_refused(R"({"id": "a", "tokens": []})", "prompt 'a' is empty");
  expect_refused(R"({"id": "a", "tokens": [-1]})", "tokens is -1");
  expect_refused(R"({"id": "a", "tokens": [1.5]})", "tokens is 1.5");
  expect_refused("{\"id\": \"a\", \"tokens\": [1]}\n{\"id\": \"a\", \"tokens\": [2]}",
                 "line 2: id 'a' is used twice");
}

TEST_F(Prompts, ATextMayBringItsSpecialTokensAlong) {
  const auto file = read(
      "{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \"b\", \"text\": \"x\", \"special_tokens\": false}\n"
      "{\"id\": \"c\", \"tokens\": [1], \"special_tokens\": null}\n");
  EXPECT_TRUE(file.prompts[0].special_tokens);
  EXPECT_FALSE(file.prompts[1].special_tokens);
  EXPECT_EQ(file.prompts[2].tokens.size(), 1U);
}

TEST_F(Prompts, WhatAModelCannotBeGiven) {
  const auto tokens = read(R"({"id": "a", "tokens": [1, 10]})");
  check_prompts(tokens, 11, false);
  EXPECT_THAT(error_of([&] { check_prompts(tokens, 10, true); }).what(),
              HasSubstr("line 1: token 10 is outside the vocabulary of 10"));
  const auto text = read(R"({"id": "a", "text": "x"})");
  check_prompts(text, 1, true);
  EXPECT_THAT(error_of([&] { check_prompts(text, 1, false); }).what(),
              HasSubstr("neither tokenizer.json nor tokenizer.model"));
}

}  // namespace
}  // namespace shardrift
