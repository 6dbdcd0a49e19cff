// shardrift inspect --model: what a directory is and whether it will run, without reading its weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class InspectModel : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = scratch(std::string("inspect-model-") +
                     ::testing::UnitTest::GetInstance()->current_test_info()->name());
    model = folder / "model";
    fs::copy(fixture("tiny-llama"), model);
  }
  void change_config(const std::function<void(json&)>& change) const {
    json config = json::parse(std::ifstream(model / "config.json"));
    change(config);
    std::ofstream(model / "config.json") << config.dump();
  }
  // Also kept for json_schema.py.
  json inspected(const fs::path& directory, int code, const std::vector<std::string>& more = {}) {
    const fs::path kept = fs::path(SHARDRIFT_BINARY_DIR) / "tests/inspect-model-json";
    fs::create_directories(kept);
    const auto file = kept / (folder.filename().string() + ".json");
    std::vector<std::string> words{SHARDRIFT_BINARY_DIR "/bin/shardrift",
                                   "inspect",
                                   "--model",
                                   directory.string(),
                                   "--json",
                                   file.string()};
    words.insert(words.end(), more.begin(), more.end());
    const auto finished = run_program(words);
    EXPECT_EQ(finished.code, code) << finished.output;
    said = finished.output;
    return json::parse(std::ifstream(file));
  }
  fs::path folder, model;
  std::string said;
};

TEST_F(InspectModel, SaysWhatItIsAndWhatItTakes) {
  const auto one = inspected(model, 0, {"--batch", "4", "--max-length", "100", "--dtype", "bfloat16"});
  EXPECT_TRUE(one.at("will_run"));
  EXPECT_THAT(one.at("problems"), IsEmpty());
  EXPECT_EQ(one.at("model").at("layers"), 5);
  EXPECT_EQ(one.at("memory").at("batch"), 4);
  const auto& plans = one.at("memory").at("plans");
  ASSERT_EQ(plans.size(), 5U);  // one device, TP and PP of 2 and 4
  const auto& device = plans[0];
  EXPECT_EQ(device.at("cache"), device.at("cache_per_token").get<int>() * 400);
  EXPECT_EQ(device.at("weights"), one.at("model").at("parameters").get<int>() * 2);
  EXPECT_EQ(one.at("stored")[0].at("bytes"), one.at("model").at("parameters").get<int>() * 4);  // float32
  EXPECT_LT(plans[1].at("weights"), device.at("weights"));
  EXPECT_THAT(said, AllOf(HasSubstr("will it run    yes"), HasSubstr("LlamaForCausalLM"),
                          HasSubstr("layers         0-4: all keys, rope theta 10000"), HasSubstr("TP=4")));
}

TEST_F(InspectModel, GroupsLayersThatAreMadeAlike) {
  const auto gemma = inspected(fixture("tiny-gemma2"), 0);
  EXPECT_GT(gemma.at("model").at("layer_kinds").size(), 1U);
  EXPECT_THAT(said, AllOf(HasSubstr("attention softcap"), HasSubstr("norms after the blocks"),
                          HasSubstr("embedding scale"), HasSubstr("window ")));
}

TEST_F(InspectModel, DescribesMixtures) {
  for (const auto* name : {"tiny-mixtral", "tiny-qwen3-moe", "tiny-gpt-oss"}) {
    const auto mixture = inspected(fixture(name), 0);
    EXPECT_EQ(mixture.at("stored")[0].at("bytes"), mixture.at("model").at("parameters").get<int>() * 4)
        << name;
  }
  EXPECT_THAT(said, AllOf(HasSubstr("5 experts of 54 columns, 2 a token"), HasSubstr("attention sinks"),
                          HasSubstr("swish clamped at 0.9"), HasSubstr("router bias")));
}

// All that is wrong is named, not only the first.
TEST_F(InspectModel, NamesEveryProblem) {
  change_config([](json& config) {
    config["num_hidden_layers"] = 4;  // the checkpoint has five
    config["vocab_size"] = 260;       // and 259 tokens
  });
  std::ofstream(model / "tokenizer.json") << R"({"model": {"type": "WordPiece", "vocab": {}}})";
  const auto bad = inspected(model, 65);
  EXPECT_FALSE(bad.at("will_run"));
  EXPECT_THAT(bad.at("problems"), SizeIs(4));  // embedding and head, superfluous layer, tokenizer
  EXPECT_THAT(said, AllOf(HasSubstr("will it run    no"), HasSubstr("embed_tokens"), HasSubstr("lm_head"),
                          HasSubstr("model.layers.4.mlp"), HasSubstr("WordPiece"), HasSubstr("token ids")));
}

TEST_F(InspectModel, NamesAnUnknownArchitectureAndItsQuantization) {
  change_config([](json& config) {
    config["architectures"] = {"StrangeForCausalLM"};
    config["quantization_config"] = {{"quant_method", "gptq"}};
  });
  const auto bad = inspected(model, 65);
  EXPECT_EQ(bad.at("model"), nullptr);
  EXPECT_THAT(said,
              AllOf(HasSubstr("StrangeForCausalLM"), HasSubstr("quantization_config"), HasSubstr("stored ")));
}

TEST_F(InspectModel, MissingTensorsAndFiles) {
  change_config([](json& config) { config["num_hidden_layers"] = 6; });
  inspected(model, 65);
  EXPECT_THAT(said, HasSubstr("model.layers.5."));
  fs::remove(model / "model.safetensors");
  const auto bad = inspected(model, 65);
  EXPECT_THAT(bad.at("problems"), SizeIs(1));
  EXPECT_THAT(bad.at("stored"), IsEmpty());
  EXPECT_THAT(said, HasSubstr("model.safetensors"));
  inspected(folder / "nothing", 65);
  EXPECT_THAT(said, HasSubstr("config.json"));
}

// 7B parameters in a file of holes: its header says all that is asked.
TEST_F(InspectModel, WeightsAreNotRead) {
  constexpr std::int64_t kHidden = 4096, kMlp = 11008, kVocabulary = 32000, kLayers = 32;
  json header;
  std::int64_t at = 0;
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape) {
    std::int64_t bytes = 2;
    for (const auto n : shape) bytes *= n;
    header[name] = {{"dtype", "BF16"}, {"shape", shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  };
  add("model.embed_tokens.weight", {kVocabulary, kHidden});
  add("lm_head.weight", {kVocabulary, kHidden});
  add("model.norm.weight", {kHidden});
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string in = "model.layers." + std::to_string(layer) + ".";
    for (const auto* name : {"q", "k", "v", "o"})
      add(in + "self_attn." + name + "_proj.weight", {kHidden, kHidden});
    add(in + "mlp.gate_proj.weight", {kMlp, kHidden});
    add(in + "mlp.up_proj.weight", {kMlp, kHidden});
    add(in + "mlp.down_proj.weight", {kHidden, kMlp});
    add(in + "input_layernorm.weight", {kHidden});
    add(in + "post_attention_layernorm.weight", {kHidden});
  }
  const std::string text = header.dump();
  const auto length = static_cast<std::uint64_t>(text.size());
  {
    std::ofstream file(model / "model.safetensors", std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
    file << text;
  }
  fs::resize_file(model / "model.safetensors", 8 + length + static_cast<std::uint64_t>(at));
  change_config([&](json& config) {
    config["hidden_size"] = kHidden;
    config["intermediate_size"] = kMlp;
    config["num_hidden_layers"] = kLayers;
    config["num_attention_heads"] = 32;
    config["num_key_value_heads"] = 32;
    config["head_dim"] = 128;
    config["vocab_size"] = kVocabulary;
    config["tie_word_embeddings"] = false;
  });
  const auto seven = inspected(model, 0);
  EXPECT_EQ(seven.at("model").at("parameters"), 6738415616);  // Llama 2 7B's
  EXPECT_EQ(seven.at("files_bytes"), 8 + length + static_cast<std::uint64_t>(at));
  EXPECT_EQ(seven.at("memory").at("plans")[0].at("cache_per_token"), 2 * 32 * 4096 * 4);  // float32 here
  fs::remove(model / "model.safetensors");
}

TEST_F(InspectModel, RefusesWordsThatDoNotGoTogether) {
  const auto refused = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all{SHARDRIFT_BINARY_DIR "/bin/shardrift", "inspect"};
    all.insert(all.end(), words.begin(), words.end());
    const auto finished = run_program(all);
    EXPECT_EQ(finished.code, 64) << finished.output;
    return finished.output;
  };
  EXPECT_THAT(refused({"--model", model.string(), "a.h5"}), HasSubstr("--model takes no file"));
  EXPECT_THAT(refused({"a.h5", "--batch", "2"}), HasSubstr("--batch goes with --model"));
  EXPECT_THAT(refused({"--model", model.string(), "--batch", "65"}), HasSubstr("use 1 to 64"));
  EXPECT_THAT(refused({"--model", model.string(), "--dtype", "int8"}), HasSubstr("--dtype"));
  EXPECT_THAT(refused({"--model", model.string(), "--max-length", "-1"}), HasSubstr("--max-length"));
}

}  // namespace
}  // namespace shardrift::testing
