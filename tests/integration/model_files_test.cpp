// What the worker takes of a model's directory as it comes: tokenizers, heads and tensors of others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ModelFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = scratch(std::string("files-") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    model = folder / "model";
    fs::copy(fixture("tiny-llama"), model);
  }

  Finished run(const std::string& name, const std::string& prompts,
               const std::vector<std::string>& more = {}) {
    const fs::path file = folder / (name + ".jsonl");
    std::ofstream(file) << prompts;
    return run(name, std::vector<std::string>{"--prompts", file.string()}, more);
  }
  Finished run(const std::string& name, const std::vector<std::string>& what,
               const std::vector<std::string>& more) {
    std::vector<std::string> arguments{
        "run", "--model", model.string(), "--output", record(name), "--max-new-tokens", "3", "--ignore-eos"};
    arguments.insert(arguments.end(), what.begin(), what.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(worker_command(1, arguments));
  }
  std::string record(const std::string& name) const { return (folder / (name + ".h5")).string(); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(model / name) << text; }

  fs::path folder, model;
};

constexpr const char* kIds = "{\"id\": \"a\", \"tokens\": [1, 0], \"text\": null}\n";
constexpr const char* kText = "{\"id\": \"a\", \"text\": \"ba\", \"tokens\": null}\n";

TEST_F(ModelFiles, TokenIdsNeedNoTokenizer) {
  write("tokenizer.json", R"({"model": {"type": "Unigram", "vocab": [["a", 0]]}})");
  const auto ids = run("ids", kIds);
  EXPECT_EQ(ids.code, 0) << ids.output;
  EXPECT_THAT(record::Reader::open(record("ids")).run().model.vocab, IsEmpty());
  const auto text = run("text", kText);
  EXPECT_EQ(text.code, 65) << text.output;
  EXPECT_THAT(text.output, HasSubstr("tokenizer.json: "));
  EXPECT_FALSE(fs::exists(record("text")));
}

TEST_F(ModelFiles, AnAddedTokenWithAnotherIdThanTheLibraryGivesItIsNoted) {
  write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
    "added_tokens": [{"id": 9, "content": "<s>", "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}})");
  const auto text = run("text", "{\"id\": \"a\", \"text\": \"b<s>\"}\n");
  ASSERT_EQ(text.code, 0) << text.output;
  EXPECT_THAT(text.output, HasSubstr("note: " + (model / "tokenizer.json").string() +
                                     ": added_tokens[0]: \"<s>\" has the id 9, but is encoded as 2"));
  EXPECT_THAT(record::Reader::open(record("text")).prompt("a").prompt.tokens, ElementsAre(1, 2));
}

TEST_F(ModelFiles, SpecialTokensStandAroundATextUnlessItBringsThemAlong) {
  write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "<s>": 2}, "merges": []},
    "added_tokens": [{"id": 2, "content": "<s>", "special": true}],
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [2], "tokens": ["<s>"]}}},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}})");
  const auto text = run("text",
                        "{\"id\": \"a\", \"text\": \"b\"}\n"
                        "{\"id\": \"b\", \"text\": \"<s>b\", \"special_tokens\": false}\n");
  ASSERT_EQ(text.code, 0) << text.output;
  const auto reader = record::Reader::open(record("text"));
  EXPECT_THAT(reader.prompt("a").prompt.tokens, ElementsAre(2, 1));
  EXPECT_THAT(reader.prompt("b").prompt.tokens, ElementsAre(2, 1));
}

// What was scored is what was given: a text stays one, and the record names its tokenizer. Generated tokens
// that a scored record brings along are no part of a text.
TEST_F(ModelFiles, AScoredTextIsRecordedAsOne) {
  write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}})");
  ASSERT_EQ(run("greedy", kText).code, 0);
  ASSERT_EQ(run("score", kText, {"--mode", "score"}).code, 0);
  const auto greedy = record::Reader::open(record("greedy"));
  const auto score = record::Reader::open(record("score"));
  EXPECT_EQ(score.prompt("a").prompt.source, "text");
  EXPECT_EQ(score.prompt("a").prompt.text, "ba");
  EXPECT_FALSE(score.run().model.tokenizer.empty());
  EXPECT_EQ(score.run().model.tokenizer, greedy.run().model.tokenizer);
  ASSERT_EQ(run("at-once", {"--mode", "score", "--follow", record("greedy")}, {}).code, 0);
  const auto at_once = record::Reader::open(record("at-once"));
  EXPECT_EQ(at_once.prompt("a").prompt.source, "tokens");
  EXPECT_EQ(at_once.prompt("a").prompt.text, "");
}

TEST_F(ModelFiles, AFollowedRecordBringsItsVocabularyAlong) {
  write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "decoder": {"type": "ByteLevel"}})");
  const auto text = run("text", kText);
  ASSERT_EQ(text.code, 0) << text.output;
  write("tokenizer.json", "{}");
  const auto followed = run("followed", {"--mode", "follow", "--follow", record("text")}, {});
  ASSERT_EQ(followed.code, 0) << followed.output;
  const auto reader = record::Reader::open(record("followed"));
  EXPECT_THAT(reader.prompt("a").prompt.tokens, ElementsAre(1, 0));
  const auto& vocab = reader.run().model.vocab;
  ASSERT_EQ(vocab.size(), 259U);
  EXPECT_EQ(vocab[0] + vocab[1] + vocab[2], "ab");
  EXPECT_EQ(first_difference(record("text"), record("followed")), "");
}

// The flag turned over in config.json; the checkpoint is that of an untied model.
TEST_F(ModelFiles, AHeadOfItsOwnIsUsedBesideATiedFlag) {
  ASSERT_EQ(run("untied", kIds).code, 0);
  std::ifstream in(model / "config.json");
  auto config = nlohmann::json::parse(in);
  config["tie_word_embeddings"] = true;
  write("config.json", config.dump());
  const auto tied = run("tied", kIds);
  ASSERT_EQ(tied.code, 0) << tied.output;
  EXPECT_THAT(tied.output,
              HasSubstr("shardrift-run: note: " + model.string() + ": config.json ties the head"));
  EXPECT_EQ(first_difference(record("untied"), record("tied")), "");
}

TEST_F(ModelFiles, BiasesThatConfigDoesNotAskForAreRefused) {
  fs::remove_all(model);
  fs::copy(fixture("tiny-llama-biases"), model);
  std::ifstream in(model / "config.json");
  auto config = nlohmann::json::parse(in);
  config.erase("attention_bias");
  config["mlp_bias"] = nullptr;
  write("config.json", config.dump());
  const auto finished = run("unbiased", kIds);
  EXPECT_EQ(finished.code, 65) << finished.output;
  EXPECT_THAT(finished.output,
              AllOf(HasSubstr("no part of LlamaForCausalLM as config.json describes it uses 28 "
                              "of the checkpoint's tensors"),
                    HasSubstr("model.layers.*.self_attn.q_proj.bias (4)")));
}

}  // namespace
}  // namespace shardrift::testing
