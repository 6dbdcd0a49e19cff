// The worker's float32 logits against transformers': tests/golden/references/*.json, written by
// make-goldens.py. Our sums are added up in another order than theirs, so bits differ; a wrong formula moves
// logits by far more than 1e-4.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "reference.hpp"

namespace shardrift::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Case {
  std::string model;
  std::string plan;  // a name for the output file
  int ranks = 1;
  std::vector<std::string> flags;
};

class Golden : public ::testing::TestWithParam<Case> {};

TEST_P(Golden, LogitsAgreeWithTransformers) {
  const auto& [model, plan, ranks, flags] = GetParam();
  const json reference = read_reference(model);
  auto all = flags;
  all.insert(all.end(), {"--mode", "score"});
  const auto reader =
      run_worker({model_directory(model), model + "." + plan, token_prompts(reference), ranks, all});
  for (const auto& prompt : reference["prompts"]) expect_scored(reader, prompt);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* model : {"tiny-llama", "tiny-llama-headdim", "tiny-llama-tied-rope3", "tiny-mistral",
                            "tiny-exact", "tiny-sharded", "tiny-llama-biases"}) {
    all.push_back({model, "one", 1, {}});
    // Head counts and vocabularies that 2, 3 and 4 do not divide, on one device and over ranks.
    all.push_back({model, "shards4", 1, {"--shards", "4"}});
    all.push_back({model, "tp3", 3, {"--tensor-parallel", "3"}});
    all.push_back({model, "tp2_pp2", 4, {"--tensor-parallel", "2", "--pipeline", "2"}});
  }
  return all;
}

std::string name_of(const ::testing::TestParamInfo<Case>& instance) {
  std::string name = instance.param.model + "_" + instance.param.plan;
  for (char& c : name) {
    if (c == '-') c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Tiny, Golden, ::testing::ValuesIn(cases()), name_of);

// The real model. scripts/test sets SHARDRIFT_REQUIRE_MODEL, so that CI cannot skip these unnoticed.
class RealModel : public ::testing::Test {
 protected:
  static constexpr const char* kModel = "smollm2-135m";
  void SetUp() override {
    if (fs::exists(model_directory(kModel) / "config.json")) return;
    const std::string message =
        model_directory(kModel).string() + " is absent: run scripts/fetch-model " + kModel;
    if (std::getenv("SHARDRIFT_REQUIRE_MODEL") != nullptr) FAIL() << message;
    GTEST_SKIP() << message;
  }
};

// The prompts are given as text, so the record's token ids are the C++ tokenizer's; the reference's are
// Hugging Face's.
TEST_F(RealModel, LogitsAndTokenIdsAgreeWithTransformers) {
  const json reference = read_reference(kModel);
  std::vector<json> prompts;
  for (const auto& prompt : reference["prompts"])
    prompts.push_back({{"id", prompt["id"]}, {"text", prompt["text"]}});
  const auto reader = run_worker({model_directory(kModel), "smollm2.score", prompts, 1, {"--mode", "score"}});
  for (const auto& prompt : reference["prompts"]) expect_scored(reader, prompt);
}

TEST_F(RealModel, KnowsTheCapitalOfFrance) {
  const json greedy = read_reference(kModel)["greedy"];
  const auto expected = greedy["continuation"].get<std::vector<std::int32_t>>();
  const auto reader = run_worker({model_directory(kModel),
                                  "smollm2.greedy",
                                  {{{"id", "france"}, {"text", greedy["text"]}}},
                                  1,
                                  {"--max-new-tokens", std::to_string(expected.size()), "--ignore-eos"}});
  const auto prompt = reader.prompt("france");
  EXPECT_EQ(prompt.prompt.tokens, greedy["tokens"].get<std::vector<std::int32_t>>());
  std::vector<std::int32_t> written;
  for (const auto& row : prompt.rows) written.push_back(row.chosen);
  EXPECT_EQ(written, expected) << "transformers writes:" << greedy["continuation_text"];
}

}  // namespace
}  // namespace shardrift::golden
