// Study files: what they expand to, and what is refused with file and line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"
#include "experiments/study/study.hpp"

namespace shardrift::study {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> names_of(const Study& study) {
  std::vector<std::string> names;
  for (const auto& entry : study.entries) names.push_back(entry.name);
  return names;
}

Study study_of(const std::string& text, const Overrides& overrides = {}) {
  return study_from_text(text, "/tmp/studies/example.toml", overrides);
}

std::string error_of(const std::string& text, const Overrides& overrides = {}) {
  try {
    study_of(text, overrides);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Places where toml++ 3.3 asserts, or calls unreachable, what a file can bring about.
TEST(StudyFile, WhatTheTomlLibraryTakesForImpossible) {
  EXPECT_THAT(error_of("[# run]"), AllOf(HasSubstr("example.toml:1"), HasSubstr("not valid TOML")));
  EXPECT_THAT(error_of("question = \u0222"), HasSubstr("not valid TOML"));
  EXPECT_THAT(error_of("\u0222 = 1"), HasSubstr("not valid TOML"));
  const auto study = study_of(
      "question = \"\"\"one\\\n  \u00c9ric \u0222?\"\"\"\n"
      "[run]\nmodel = \"m\"\nprompts = \"p\"\n[[candidate]]\nshards = 2\n");
  EXPECT_EQ(study.question, "one\u00c9ric \u0222?");
}

TEST(StudyFile, TheSimplestStudy) {
  const auto study = study_of(R"(
question = "one against two?"
[run]
model = "../model"
prompts = "p.jsonl"
ignore-eos = true
[[candidate]]
tensor-parallel = 2
)");
  EXPECT_EQ(study.name, "example");
  EXPECT_THAT(names_of(study), ElementsAre("reference", "tp2"));
  EXPECT_EQ(study.entries[0].role, Role::reference);
  EXPECT_EQ(study.entries[0].settings.at("model").text, "/tmp/model");
  EXPECT_EQ(study.entries[0].settings.at("prompts").text, "/tmp/studies/p.jsonl");
  EXPECT_TRUE(study.entries[0].settings.at("ignore-eos").is_switch);
  EXPECT_EQ(study.entries[1].compare_with, "reference");
  EXPECT_EQ(study.entries[1].settings.at("tensor-parallel").text, "2");
  EXPECT_EQ(study.entries[1].settings.at("tensor-parallel").line, 8);
  EXPECT_EQ(study.entries[1].line, 7);
}

TEST(StudyFile, AMatrixIsMultipliedOutLessItsExclusions) {
  const auto study = study_of(R"(
[[candidate]]
matrix = { tensor-parallel = [1, 2], pipeline = [1, 2] }
exclude = [{ tensor-parallel = 1, pipeline = 1 }]
[[candidate]]
shards = 4
matrix = { reduction = ["tree:7", "perm:2,0,3,1"] }
)");
  EXPECT_THAT(names_of(study),
              ElementsAre("reference", "pp2", "tp2", "tp2-pp2", "s4-tree-7", "s4-perm-2-0-3-1"));
  EXPECT_EQ(study.entries[5].settings.at("reduction").text, "perm:2,0,3,1");
}

TEST(StudyFile, EachMakesOneComparisonAValue) {
  const auto study = study_of(R"(
[each]
dtype = ["float32", "bfloat16"]
[[candidate]]
tensor-parallel = 2
[[yardstick]]
dtype = "float16"
follow = "reference"
)");
  EXPECT_THAT(names_of(study), ElementsAre("float32-reference", "float32-float16", "float32-tp2",
                                           "bfloat16-reference", "bfloat16-float16", "bfloat16-tp2"));
  EXPECT_EQ(study.entries[4].settings.at("dtype").text, "float16");
  EXPECT_EQ(study.entries[4].follow, "bfloat16-reference");
  EXPECT_EQ(study.entries[4].settings.at("mode").text, "follow");
  EXPECT_EQ(study.entries[5].compare_with, "bfloat16-reference");
}

TEST(StudyFile, FollowersComeAfterWhatTheyFollow) {
  const auto study = study_of(R"(
[[candidate]]
name = "follower"
follow = "tp2"
dtype = "float16"
[[candidate]]
tensor-parallel = 2
)");
  EXPECT_THAT(names_of(study), ElementsAre("reference", "tp2", "follower"));
}

TEST(StudyFile, RepeatsAreComparedWithWhatTheyRepeat) {
  const auto study = study_of(R"(
[reference]
repeats = 2
[[candidate]]
tensor-parallel = 2
repeats = 1
)");
  EXPECT_THAT(names_of(study),
              ElementsAre("reference", "reference-again1", "reference-again2", "tp2", "tp2-again"));
  EXPECT_EQ(study.entries[1].role, Role::repeat);
  EXPECT_EQ(study.entries[4].compare_with, "tp2");
  EXPECT_EQ(study.entries[4].settings, study.entries[3].settings);
}

TEST(StudyFile, TheCommandLineReplacesRunsValues) {
  const auto study = study_of(R"(
[run]
max-new-tokens = 64
ignore-eos = true
[[candidate]]
tensor-parallel = 2
)",
                              {{"max-new-tokens", "8"}, {"ignore-eos", "false"}});
  EXPECT_EQ(study.entries[1].settings.at("max-new-tokens").text, "8");
  EXPECT_FALSE(study.entries[1].settings.at("ignore-eos").on);
  EXPECT_THAT(error_of("[each]\ndtype = ['float32']", {{"dtype", "bfloat16"}}), HasSubstr("[each]"));
  EXPECT_THAT(error_of("", {{"output", "x"}}), HasSubstr("--set output"));
}

struct Wrong {
  const char* text;
  const char* message;  // after "/tmp/studies/example.toml"
};

class WrongStudies : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongStudies, AreRefusedWithTheirLine) {
  EXPECT_THAT(error_of(GetParam().text),
              HasSubstr(std::string("/tmp/studies/example.toml") + GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    StudyFile, WrongStudies,
    ::testing::Values(
        Wrong{"[run]\nmodel = ", ":2: not valid TOML"}, Wrong{"[run\n", ":1: not valid TOML"},
        Wrong{"[run]\nx = 1\nx = 2", ":3: not valid TOML"},
        Wrong{"[runs]\nmodel = 'x'", ":1: a study file knows no key 'runs'"},
        Wrong{"run = 3", ":1: run of a study file is an integer; a table is expected"},
        Wrong{"[run]\noutput = 'x'", ":2: output in [run]: the runner gives this flag itself"},
        Wrong{"[run]\ntensor_parallel = 2", ":2: 'tensor_parallel' in [run] is no flag"},
        Wrong{"[run]\nbatch = [1, 2]", ":2: batch in [run] is a list: several values belong into matrix"},
        Wrong{"[run]\nsince = 2026-01-01", ":2: since in [run] is a date or time"},
        Wrong{"[[candidate]]\n", ":1: [[candidate]] varies nothing"},
        Wrong{"[[candidate]]\nmatrix = { shards = 3 }", ":2: shards of [[candidate]]'s matrix is an integer"},
        Wrong{"[[candidate]]\nmatrix = { shards = [] }", ":2: shards of [[candidate]]'s matrix is a list"},
        Wrong{"[[candidate]]\nshards = 2\nmatrix = { shards = [3] }",
              ":1: [[candidate]] has shards and varies"},
        Wrong{"[[candidate]]\nshards = 2\nexclude = { shards = 2 }", ":3: [[candidate]] has exclude but no"},
        Wrong{"[[candidate]]\nmatrix = { shards = [2] }\nexclude = [\n{ shards = 5 }]",
              ":4: exclude: this leaves out no combination"},
        Wrong{"[[candidate]]\nmatrix = { shards = [2] }\nexclude = [{ shards = 2 }]",
              ":3: exclude: this leaves nothing"},
        Wrong{"[[candidate]]\nshards = 2\n[[candidate]]\nshards = 2", ":3: two runs are called 's2'"},
        Wrong{"[[candidate]]\nname = 'a b'\nshards = 2", ":1: name 'a b'"},
        Wrong{"[[candidate]]\nname = '{nothing}'\nshards = 2", ":1: name '{nothing}': there is no value"},
        Wrong{"[[candidate]]\nshards = 2\nfollow = 'x'", ":1: 's2' names 'x', but there is no such run"},
        Wrong{"[[candidate]]\nname='a'\nfollow='b'\n[[candidate]]\nname='b'\nfollow='a'",
              ":1: 'a' reads the record of 'b', which in the end reads its own"},
        Wrong{"[[candidate]]\nname='a'\nshards = 2\nreplay-routes='b'\n[[candidate]]\nname='b'\nfollow='a'",
              ":1: 'a' reads the record of 'b', which in the end reads its own"},
        Wrong{"[[candidate]]\nname='a'\nfollow='reference'\nreplay-routes='b'\n[[candidate]]\nname='b'"
              "\nfollow='a'",
              ":1: 'a' reads the record of 'b', which in the end reads its own"},
        Wrong{"[[candidate]]\nname='a'\nshards = 2\nreplay-routes='b'",
              ":1: 'a' names 'b', but there is no such run"},
        Wrong{"[[candidate]]\nname='a'\nfollow='reference'\nmode='greedy'",
              ":4: [[candidate]] has follow and mode"},
        Wrong{"[[candidate]]\nname='a'\nfollow='reference'\nmode='score'",
              ":1: 'a' and 'reference', which it is"},
        Wrong{"[[candidate]]\nname='none'\nshards = 2", ":1: name 'none'"},
        Wrong{"[reference]\nmatrix = { shards = [1] }", ":1: [reference] is one run"},
        Wrong{"[[reference]]\n[[reference]]", ":2: a second [reference]"},
        Wrong{"[reference]\nrepeats = -1", ":2: repeats of [reference] is -1"},
        Wrong{"[[probe]]\nranks = 2\nfollow = 'x'", ":1: [[probe]] takes flags of shardrift-run probe"},
        Wrong{"[[probe]]\nranks = 2\n[[candidate]]\nshards = 2", ":3: [[candidate]] needs [run]"},
        Wrong{"[judge]\npreset = 3", ":2: preset of [judge] is an integer"},
        Wrong{"[judge]\nlimit = 3", ":2: [judge] knows no key 'limit'"}));

}  // namespace
}  // namespace shardrift::study
