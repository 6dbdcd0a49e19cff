// Each architecture and rope kind against transformers, in float32: prefill and decode under every plan up to
// four ranks. Models are small and odd: head counts that 2, 3 and 4 do not divide, windows and original
// contexts shorter than the prompts.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "recorded.hpp"
#include "reference.hpp"

namespace shardrift::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// With every plan: an architecture and all rope kinds.
const std::vector<std::string> kArchitectures{
    "tiny-qwen3",  "tiny-qwen3-v5", "tiny-qwen2", "tiny-qwen2-yarn", "tiny-internlm2", "tiny-gemma2",
    "tiny-gemma3", "tiny-phi3",     "tiny-olmo2", "tiny-olmo3",      "tiny-granite"};
// Mixtures of experts: the same, and what is theirs.
const std::vector<std::string> kMixtures{"tiny-mixtral",        "tiny-mixtral-window", "tiny-qwen3-moe",
                                         "tiny-qwen3-moe-step", "tiny-gpt-oss",        "tiny-gpt-oss-mxfp4"};
// Llamas, whose plans golden_test.cpp has too: with some.
const std::vector<std::string> kLlamas{"tiny-llama-linear", "tiny-llama-dynamic", "tiny-llama-attention-bias",
                                       "tiny-llama-mixed"};

// Other spellings of a model: the same logits.
struct Spelling {
  std::string model;
  std::string reference;
};
const std::vector<Spelling> kSpellings{{"tiny-gemma3-v5", "tiny-gemma3"},
                                       {"tiny-gemma3-wrapper", "tiny-gemma3"},
                                       {"tiny-phi3-v5", "tiny-phi3"},
                                       {"tiny-olmo3-v5", "tiny-olmo3"}};

struct Plan {
  std::string name;
  int ranks;
  std::vector<std::string> flags;
};
const std::vector<Plan> kPlans{
    {"one", 1, {}},
    {"tp2", 2, {"--tensor-parallel", "2"}},
    {"tp3", 3, {"--tensor-parallel", "3"}},
    {"tp4", 4, {"--tensor-parallel", "4"}},
    {"pp2", 2, {"--pipeline", "2"}},
    {"tp2_pp2", 4, {"--tensor-parallel", "2", "--pipeline", "2"}},
};
const Plan& kOne = kPlans.front();
const Plan& kTensorAndPipeline = kPlans.back();
const Plan kShards4{"shards4", 1, {"--shards", "4"}};
const Plan kShards4On2{"shards4_on_2", 2, {"--shards", "4", "--tensor-parallel", "2"}};

// Whole experts dealt to shards, where the others cut each expert.
const std::vector<Plan> kDealt{
    {"ep2", 2, {"--tensor-parallel", "2", "--expert-parallel"}},
    {"ep4", 4, {"--tensor-parallel", "4", "--expert-parallel"}},
    {"ep2_pp2", 4, {"--tensor-parallel", "2", "--pipeline", "2", "--expert-parallel"}},
};
const Plan kDealt4{"dealt4", 1, {"--shards", "4", "--expert-parallel"}};
const Plan kDealt4On2{"dealt4_on_2", 2, {"--shards", "4", "--tensor-parallel", "2", "--expert-parallel"}};

std::vector<std::string> with(std::vector<std::string> flags, const std::vector<std::string>& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

void expect_rows(const record::Reader& reader, const std::string& id, std::span<const float> reference,
                 std::int64_t rows) {
  SCOPED_TRACE("prompt " + id);
  RelativeError error;
  const auto width = reference.size() / static_cast<std::size_t>(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto ours = row_of(reader, id, r);
    ASSERT_EQ(ours.size(), width);
    for (std::size_t c = 0; c < width; ++c)
      error.add(ours[c], reference[static_cast<std::size_t>(r) * width + c]);
  }
  EXPECT_LE(error.value(), kTolerance);
}

// Every prompt of the reference is continued: the first row is the prefill's last, and the decode's prompt is
// continued as transformers continues it.
record::Reader expect_continued(const std::string& model, const json& reference, const Plan& plan) {
  SCOPED_TRACE(plan.name);
  const json& decode = reference["decode"];
  const auto expected = decode["continuation"].get<std::vector<std::int32_t>>();
  auto prompts = token_prompts(reference);
  prompts.push_back({{"id", "decode"}, {"tokens", decode["tokens"]}});
  auto reader =
      run_worker({model_directory(model), model + "." + plan.name + ".greedy", prompts, plan.ranks,
                  with(plan.flags, {"--max-new-tokens", std::to_string(expected.size()), "--ignore-eos"})});
  for (const auto& prompt : reference["prompts"]) {
    const auto scored = from_base64<float>(prompt["logits"]);
    const auto width = scored.size() / prompt["rows"].size();
    expect_rows(reader, prompt["id"], std::span(scored).last(width), 1);
  }
  std::vector<std::int32_t> chosen;
  for (const auto& row : reader.prompt("decode").rows) chosen.push_back(row.chosen);
  EXPECT_EQ(chosen, expected);
  expect_rows(reader, "decode", from_base64<float>(decode["logits"]),
              static_cast<std::int64_t>(expected.size()));
  return reader;
}

void expect_scored_as(const std::string& model, const json& reference, const Plan& plan) {
  SCOPED_TRACE(plan.name);
  const auto reader =
      run_worker({model_directory(model), model + "." + plan.name + ".score", token_prompts(reference),
                  plan.ranks, with(plan.flags, {"--mode", "score"})});
  for (const auto& prompt : reference["prompts"]) expect_scored(reader, prompt);
}

std::string underscored(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class Kinds : public ::testing::TestWithParam<std::string> {};

TEST_P(Kinds, AreScoredAsByTransformers) {
  const json reference = read_reference(GetParam());
  expect_scored_as(GetParam(), reference, kOne);
  expect_scored_as(GetParam(), reference, kTensorAndPipeline);
}

TEST_P(Kinds, AreContinuedAsByTransformersUnderEveryPlan) {
  const json reference = read_reference(GetParam());
  for (const auto& plan : kPlans) expect_continued(GetParam(), reference, plan);
}

// Four shards: on one rank and on two, the same bits.
TEST_P(Kinds, FourShardsHaveOneSetOfBits) {
  const json reference = read_reference(GetParam());
  const auto one = expect_continued(GetParam(), reference, kShards4);
  const auto two = expect_continued(GetParam(), reference, kShards4On2);
  EXPECT_EQ(testing::first_difference(one.path(), two.path()), "");
}

INSTANTIATE_TEST_SUITE_P(Tiny, Kinds, ::testing::ValuesIn(kArchitectures),
                         [](const auto& instance) { return underscored(instance.param); });

INSTANTIATE_TEST_SUITE_P(Mixtures, Kinds, ::testing::ValuesIn(kMixtures),
                         [](const auto& instance) { return underscored(instance.param); });

class Mixtures : public ::testing::TestWithParam<std::string> {};

TEST_P(Mixtures, WithDealtExpertsAreContinuedAsByTransformers) {
  const json reference = read_reference(GetParam());
  for (const auto& plan : kDealt) expect_continued(GetParam(), reference, plan);
}

TEST_P(Mixtures, FourShardsWithDealtExpertsHaveOneSetOfBits) {
  const json reference = read_reference(GetParam());
  const auto one = expect_continued(GetParam(), reference, kDealt4);
  const auto two = expect_continued(GetParam(), reference, kDealt4On2);
  EXPECT_EQ(testing::first_difference(one.path(), two.path()), "");
}

// The experts that transformers' routers choose, and their weights, under plans that keep them on other
// ranks.
TEST_P(Mixtures, RouteAsTransformersDoes) {
  const json reference = read_reference(GetParam());
  const json& routes = reference["routes"];
  std::vector<Plan> plans{kOne, kTensorAndPipeline};
  plans.insert(plans.end(), kDealt.begin(), kDealt.end());
  for (const auto& plan : plans) {
    SCOPED_TRACE(plan.name);
    const auto reader =
        run_worker({model_directory(GetParam()), GetParam() + "." + plan.name + ".routes",
                    token_prompts(reference), plan.ranks, with(plan.flags, {"--mode", "score"})});
    const auto ours = reader.prompt(routes["prompt"]).routes;
    EXPECT_EQ(ours.layers, routes["layers"].get<std::vector<std::int32_t>>());
    EXPECT_EQ(ours.k, routes["k"]);
    EXPECT_EQ(ours.experts, from_base64<std::int32_t>(routes["experts"]));
    const auto weights = from_base64<float>(routes["weights"]);
    ASSERT_EQ(ours.weights.size(), weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) EXPECT_NEAR(ours.weights[i], weights[i], 1e-5) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, Mixtures, ::testing::ValuesIn(kMixtures),
                         [](const auto& instance) { return underscored(instance.param); });

class Llamas : public ::testing::TestWithParam<std::string> {};

TEST_P(Llamas, AgreeWithTransformers) {
  const json reference = read_reference(GetParam());
  expect_scored_as(GetParam(), reference, kOne);
  for (const auto& plan : {kOne, kTensorAndPipeline, kShards4On2})
    expect_continued(GetParam(), reference, plan);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Llamas, ::testing::ValuesIn(kLlamas),
                         [](const auto& instance) { return underscored(instance.param); });

class Spellings : public ::testing::TestWithParam<Spelling> {};

TEST_P(Spellings, HaveTheSameLogits) {
  const auto& [model, other] = GetParam();
  const json reference = read_reference(other);
  expect_scored_as(model, reference, kOne);
  expect_continued(model, reference, kOne);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Spellings, ::testing::ValuesIn(kSpellings),
                         [](const auto& instance) { return underscored(instance.param.model); });

// The control: what a config.json says and is not done would be seen. One thing in it is changed, and logits
// move.
struct Change {
  std::string model;
  std::string name;
  json patch;  // null removes the key
};

const std::vector<Change> kChanges{
    {"tiny-qwen3", "theta", {{"rope_theta", 20000.0}}},
    {"tiny-qwen3-v5", "yarn_attention_factor", {{"rope_parameters", {{"attention_factor", 1.0}}}}},
    {"tiny-qwen3-v5", "yarn_truncate", {{"rope_parameters", {{"truncate", true}}}}},
    {"tiny-qwen3-v5",
     "layer_types",
     {{"layer_types",
       json::array({"full_attention", "full_attention", "sliding_attention", "sliding_attention"})}}},
    {"tiny-qwen2", "first_windowed_layer", {{"max_window_layers", 3}}},
    {"tiny-qwen2", "no_window", {{"use_sliding_window", false}}},
    {"tiny-qwen2-yarn", "factor", {{"rope_scaling", {{"factor", 5.0}}}}},
    {"tiny-qwen2-yarn", "beta", {{"rope_scaling", {{"beta_slow", 1.0}}}}},
    {"tiny-internlm2", "factor", {{"rope_scaling", {{"factor", 3.0}}}}},
    {"tiny-gemma2", "attention_softcap", {{"attn_logit_softcapping", 50.0}}},
    {"tiny-gemma2", "logits_softcap", {{"final_logit_softcapping", 30.0}}},
    {"tiny-gemma2", "score_scale", {{"query_pre_attn_scalar", 16}}},
    {"tiny-gemma2", "window", {{"sliding_window", 8}}},
    {"tiny-gemma3", "local_theta", {{"rope_local_base_freq", 10000.0}}},
    {"tiny-gemma3", "global_factor", {{"rope_scaling", {{"factor", 8.0}}}}},
    {"tiny-gemma3", "pattern", {{"sliding_window_pattern", 2}}},
    {"tiny-phi3", "original_length", {{"original_max_position_embeddings", 64}}},
    {"tiny-phi3", "window", {{"sliding_window", 21}}},
    {"tiny-olmo2", "theta", {{"rope_theta", 20000.0}}},
    {"tiny-olmo3", "factor", {{"rope_scaling", {{"factor", 4.0}}}}},
    {"tiny-olmo3", "window", {{"sliding_window", 7}}},
    {"tiny-olmo3",
     "sliding_rope",
     {{"rope_parameters", {{"sliding_attention", {{"rope_type", "linear"}, {"factor", 3.0}}}}}}},
    {"tiny-olmo3",
     "layer_types",
     {{"layer_types", json::array({"sliding_attention", "sliding_attention", "sliding_attention",
                                   "full_attention", "full_attention"})}}},
    {"tiny-granite", "embedding", {{"embedding_multiplier", 1.0}}},
    {"tiny-granite", "scores", {{"attention_multiplier", 0.288675}}},
    {"tiny-granite", "residual", {{"residual_multiplier", 1.0}}},
    {"tiny-granite", "logits", {{"logits_scaling", 1.0}}},
    {"tiny-mixtral", "active", {{"num_experts_per_tok", 3}}},
    {"tiny-mixtral", "theta", {{"rope_theta", 20000.0}}},
    {"tiny-mixtral-window", "window", {{"sliding_window", 8}}},
    {"tiny-qwen3-moe", "renormalized", {{"norm_topk_prob", false}}},
    {"tiny-qwen3-moe", "active", {{"num_experts_per_tok", 2}}},
    {"tiny-qwen3-moe-step", "renormalized", {{"norm_topk_prob", true}}},
    {"tiny-gpt-oss", "limit", {{"swiglu_limit", 7.0}}},
    {"tiny-gpt-oss", "truncate", {{"rope_scaling", {{"truncate", true}}}}},
    {"tiny-gpt-oss", "window", {{"sliding_window", 7}}},
    {"tiny-gpt-oss",
     "layer_types",
     {{"layer_types",
       json::array({"full_attention", "sliding_attention", "full_attention", "sliding_attention"})}}},
    {"tiny-llama-linear", "factor", {{"rope_scaling", {{"factor", 3.0}}}}},
    {"tiny-llama-dynamic", "factor", {{"rope_parameters", {{"factor", 2.0}}}}},
    {"tiny-llama-attention-bias", "theta", {{"rope_theta", 20000.0}}},
};

class Control : public ::testing::TestWithParam<Change> {};

TEST_P(Control, AChangedConfigMovesLogits) {
  const auto& [model, name, patch] = GetParam();
  const json reference = read_reference(model);
  const fs::path copy = testing::scratch("golden-control-" + model + "-" + name) / "model";
  fs::copy(model_directory(model), copy);
  json config = json::parse(std::ifstream(copy / "config.json"));
  config.merge_patch(patch);
  std::ofstream(copy / "config.json") << config;
  const auto& longest = reference["prompts"][2];
  const auto reader = run_worker({copy,
                                  model + ".control." + name,
                                  {{{"id", "long"}, {"tokens", longest["tokens"]}}},
                                  1,
                                  {"--mode", "score"}});
  RelativeError error;
  const auto logits = from_base64<float>(longest["logits"]);
  for (std::size_t r = 0, next = 0; r < longest["rows"].size(); ++r)
    for (const double ours : row_of(reader, "long", static_cast<std::int64_t>(r)))
      error.add(ours, logits[next++]);
  EXPECT_GT(error.value(), 20 * kTolerance);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Control, ::testing::ValuesIn(kChanges), [](const auto& instance) {
  return underscored(instance.param.model + "_" + instance.param.name);
});

}  // namespace
}  // namespace shardrift::golden
