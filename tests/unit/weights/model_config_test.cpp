#include "weights/model_config.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "weight_files.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using testing::ElementsAre;

json llama() {
  return json::parse(R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152,
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "rope_scaling": null,
    "torch_dtype": "bfloat16", "tie_word_embeddings": true, "hidden_act": "silu", "attention_bias": false,
    "mlp_bias": false, "eos_token_id": 2, "head_dim": null})");
}

ModelConfig read(const json& config, const std::string& generation = "") {
  const TemporaryDirectory directory;
  directory.write("config.json", config.dump());
  if (!generation.empty()) {
    directory.write("generation_config.json", generation);
  }
  return read_model_config(directory.path());
}

ModelConfig read_with(const std::string& patch) {
  auto config = llama();
  config.update(json::parse(patch));  // unlike merge_patch, keeps null
  return read(config);
}

TEST(ModelConfig, OldSpelling) {
  const auto model = read(llama());
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_EQ(model.hidden, 576);
  EXPECT_EQ(model.intermediate, 1536);
  EXPECT_EQ(model.layers, 30);
  EXPECT_EQ(model.query_heads, 9);
  EXPECT_EQ(model.kv_heads, 3);
  EXPECT_EQ(model.head_dim, 64);
  EXPECT_EQ(model.vocabulary, 49152);
  EXPECT_EQ(model.max_positions, 8192);
  EXPECT_EQ(model.specs.front().window, 0);
  EXPECT_EQ(model.rms_norm_eps, 1e-5);
  EXPECT_TRUE(model.tied_head);
  EXPECT_EQ(model.specs.front().rope.theta, 100000.0);
  EXPECT_EQ(model.specs.front().rope.scaling.index(), 0U);
  EXPECT_EQ(model.dtype, DType::bfloat16);
  EXPECT_THAT(model.eos_ids, ElementsAre(2));
  EXPECT_EQ(model.text, llama().dump());
}

TEST(ModelConfig, NewSpelling) {
  auto config = llama();
  for (const auto* key : {"rope_theta", "rope_scaling", "torch_dtype"}) {
    config.erase(key);
  }
  config["dtype"] = "float16";
  config["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  const auto model = read(config);
  EXPECT_EQ(model.specs.front().rope.theta, 5e5);
  EXPECT_EQ(model.dtype, DType::float16);
  EXPECT_EQ(model.specs.front().rope.scaling.index(), 0U);
}

TEST(ModelConfig, Llama3RopeInBothSpellings) {
  const std::string scaling = R"("factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192)";
  for (const auto& patch :
       {R"({"rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", )" + scaling + "}}",
        R"({"rope_theta": 500000.0, "rope_scaling": {"type": "llama3", )" + scaling + "}}",
        R"({"rope_theta": null, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", )" +
            scaling + "}}"}) {
    const auto model = read_with(patch);
    EXPECT_EQ(model.specs.front().rope.theta, 500000.0) << patch;
    const auto* llama3 = std::get_if<RopeConfig::Llama3>(&model.specs.front().rope.scaling);
    ASSERT_NE(llama3, nullptr) << patch;
    EXPECT_EQ(*llama3, (RopeConfig::Llama3{32.0, 1.0, 4.0, 8192.0})) << patch;
  }
}

TEST(ModelConfig, RopeInBothSpellingsThatAgreeAfterFillingIn) {
  const std::string scaling = R"("factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192)";
  const std::string theta = R"("rope_theta": 500000.0)";
  const auto expected =
      read_with("{" + theta + R"(, "rope_scaling": {"rope_type": "llama3", )" + scaling + "}}").specs;
  for (const auto& patch :
       {// the same twice, whole numbers and types spelled otherwise
        "{" + theta + R"(, "rope_scaling": {"type": "llama3", "rope_type": "llama3", )" + scaling +
            R"(}, "rope_parameters": {"rope_type": "llama3", "rope_theta": 500000, )" + scaling + "}}",
        // each lacks what the other has
        R"({"rope_theta": null, "rope_scaling": {"rope_type": "llama3", )" + scaling +
            R"(}, "rope_parameters": {)" + theta + "}}",
        "{" + theta + R"(, "rope_scaling": {"type": "llama3", "factor": null}, "rope_parameters": {)" +
            scaling + "}}"})
    EXPECT_EQ(read_with(patch).specs, expected) << patch;
  EXPECT_EQ(read_with(R"({"rope_parameters": {"rope_theta": 100000}, "rope_scaling": {}})").specs,
            read(llama()).specs);
}

TEST(ModelConfig, ArchitecturesMissingWhereTheModelsTypeSaysIt) {
  EXPECT_EQ(read_with(R"({"architectures": null, "model_type": "llama"})").architecture, "LlamaForCausalLM");
  EXPECT_EQ(read_with(R"({"architectures": [], "model_type": "mistral"})").architecture,
            "MistralForCausalLM");
  auto config = llama();
  config.erase("architectures");
  config["model_type"] = "llama";
  EXPECT_EQ(read(config).specs, read(llama()).specs);
}

TEST(ModelConfig, Defaults) {
  auto config = llama();
  for (const auto* key :
       {"num_key_value_heads", "rms_norm_eps", "rope_theta", "rope_scaling", "torch_dtype",
        "tie_word_embeddings", "hidden_act", "attention_bias", "mlp_bias", "eos_token_id", "head_dim"}) {
    config.erase(key);
  }
  const auto model = read(config);
  EXPECT_EQ(model.kv_heads, 9);
  EXPECT_EQ(model.head_dim, 64);
  EXPECT_EQ(model.rms_norm_eps, 1e-6);
  EXPECT_EQ(model.specs.front().rope.theta, 10000.0);
  EXPECT_EQ(model.dtype, DType::float32);
  EXPECT_FALSE(model.tied_head);
  EXPECT_TRUE(model.eos_ids.empty());
}

TEST(ModelConfig, HeadDimOfItsOwn) {
  EXPECT_EQ(read_with(R"({"head_dim": 128})").head_dim, 128);
  EXPECT_EQ(read_with(R"({"head_dim": 128, "hidden_size": 100})").head_dim, 128);
}

TEST(ModelConfig, BiasesOfEachBlock) {
  const auto plain = read(llama()).specs;
  EXPECT_EQ(plain, std::vector<LayerSpec>(30, LayerSpec{.rope = {.theta = 100000.0}}));
  const auto attention = read_with(R"({"attention_bias": true})").specs.back();
  EXPECT_TRUE(attention[Block::attention].input_bias && attention[Block::attention].output_bias);
  EXPECT_EQ(attention[Block::mlp], BlockSpec());
  const auto mlp = read_with(R"({"mlp_bias": true})").specs.back();
  EXPECT_TRUE(mlp[Block::mlp].input_bias && mlp[Block::mlp].output_bias);
  EXPECT_EQ(mlp[Block::attention], BlockSpec());
}

json of(const char* architecture, const std::string& patch = "{}") {
  auto config = llama();
  config["architectures"] = {architecture};
  config.update(json::parse(patch));
  return config;
}

TEST(ModelConfig, EveryRopeKind) {
  const auto rope = [](const std::string& scaling) {
    const auto model = read_with(R"({"rope_scaling": )" + scaling + "}");
    return std::pair(model.specs.front().rope, model.max_positions);
  };
  const auto [linear, linear_length] = rope(R"({"type": "linear", "factor": 4.0})");
  EXPECT_EQ(std::get<RopeConfig::Linear>(linear.scaling).factor, 4.0);
  EXPECT_EQ(linear_length, 4 * 8192);
  const auto [dynamic, dynamic_length] = rope(R"({"type": "dynamic", "factor": 2.0})");
  EXPECT_EQ(std::get<RopeConfig::Dynamic>(dynamic.scaling), (RopeConfig::Dynamic{2.0, 8192}));
  EXPECT_EQ(dynamic_length, 2 * 8192);
  const auto [yarn, yarn_length] =
      rope(R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096})");
  EXPECT_EQ(std::get<RopeConfig::Yarn>(yarn.scaling), (RopeConfig::Yarn{4.0, 32.0, 1.0, 4096.0, true}));
  EXPECT_NEAR(yarn.attention_factor, 0.1 * std::log(4.0) + 1, 1e-12);
  EXPECT_EQ(yarn_length, 4 * 4096);
  EXPECT_EQ(rope(R"({"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5})").first.attention_factor,
            1.5);
  const auto phi = read(of("Phi3ForCausalLM", R"({"head_dim": 8, "partial_rotary_factor": 0.5,
      "original_max_position_embeddings": 4096,
      "rope_scaling": {"type": "su", "short_factor": [1, 2], "long_factor": [3, 4]}})"));
  const RopeConfig& longrope = phi.specs.front().rope;
  EXPECT_EQ(std::get<RopeConfig::LongRope>(longrope.scaling), (RopeConfig::LongRope{{1, 2}, {3, 4}, 4096}));
  EXPECT_EQ(longrope.rotated, 4);
  EXPECT_NEAR(longrope.attention_factor, std::sqrt(1 + std::log(2.0) / std::log(4096.0)), 1e-12);
  EXPECT_EQ(phi.max_positions, 8192);
}

TEST(ModelConfig, QwensWindowsBeginAtMaxWindowLayers) {
  const auto windows = [](const json& config) {
    std::vector<std::int64_t> all;
    for (const auto& layer : read(config).specs) all.push_back(layer.window);
    return all;
  };
  const std::string three = R"({"num_hidden_layers": 3, "sliding_window": 7, "max_window_layers": 1)";
  EXPECT_THAT(windows(of("Qwen2ForCausalLM", three + "}")), ElementsAre(0, 0, 0));
  EXPECT_THAT(windows(of("Qwen2ForCausalLM", three + R"(, "use_sliding_window": true})")),
              ElementsAre(0, 7, 7));
  EXPECT_THAT(windows(of("Qwen3ForCausalLM", three + R"(, "use_sliding_window": true,
      "layer_types": ["sliding_attention", "full_attention", "full_attention"]})")),
              ElementsAre(7, 0, 0));
  const auto qwen2 = read(of("Qwen2ForCausalLM")).specs.front();
  EXPECT_TRUE(qwen2[Block::attention].input_bias && !qwen2[Block::attention].output_bias);
  EXPECT_EQ(read(of("Qwen3ForCausalLM")).specs.front().query_key_norm, QueryKeyNorm::per_head);
}

TEST(ModelConfig, MistralsLayerTypesAreMinistrals) {
  const auto model = read(of("MistralForCausalLM", R"({"num_hidden_layers": 2, "sliding_window": 7,
      "layer_types": ["full_attention", "sliding_attention"]})"));
  EXPECT_EQ(model.specs[0].window, 0);
  EXPECT_EQ(model.specs[1].window, 7);
}

// Mistral 3 and InternVL tie in the wrapper alone; SmolVLM's text part has a name of its own.
TEST(ModelConfig, AWrapperTiesForItsTextPartAndItsTypeCounts) {
  auto text = llama();
  text["tie_word_embeddings"] = false;
  text["architectures"] = {"VLlama3ForCausalLM"};
  text["model_type"] = "llama";
  const auto model = read({{"architectures", {"Idefics3ForConditionalGeneration"}},
                           {"tie_word_embeddings", true},
                           {"text_config", text}});
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
  EXPECT_TRUE(model.tied_head);
}

// gemma-3-4b-it's config.json: what equals the class's defaults is not written.
TEST(ModelConfig, AWrappersTextPartWithItsDefaults) {
  const auto config =
      json::parse(R"({"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
    "eos_token_id": [1, 106], "torch_dtype": "bfloat16", "vision_config": {"hidden_size": 1152},
    "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
      "num_hidden_layers": 12, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}})");
  const auto model = read(config);
  EXPECT_EQ(model.architecture, "Gemma3ForCausalLM");
  EXPECT_EQ(model.wrapper, "Gemma3ForConditionalGeneration");
  EXPECT_EQ(model.dtype, DType::bfloat16);
  EXPECT_THAT(model.eos_ids, ElementsAre(1, 106));
  EXPECT_EQ(model.hidden, 2560);
  EXPECT_EQ(model.head_dim, 256);
  EXPECT_EQ(model.vocabulary, 262208);
  EXPECT_EQ(model.max_positions, 131072);
  EXPECT_TRUE(model.tied_head);
  for (std::size_t i = 0; i < 12; ++i) {
    const LayerSpec& layer = model.specs[i];
    const bool full = i % 6 == 5;
    EXPECT_EQ(layer.window, full ? 0 : 1024) << i;
    EXPECT_EQ(layer.rope.theta, full ? 1e6 : 1e4) << i;
    EXPECT_EQ(layer.rope.scaling.index(), full ? 1U : 0U) << i;
  }
}

// Olmo-3-7B's spelling, of transformers 4, and transformers 5's: full layers' rope is scaled, sliding ones'
// is not.
TEST(ModelConfig, Olmo3ScalesTheRopeOfFullLayersOnly) {
  const std::string yarn =
      R"("rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 8192, "attention_factor": 1.25)";
  const std::string old_spelling = R"("rope_theta": 500000, "rope_scaling": {)" + yarn + "}";
  const auto olmo3 = [](const std::string& more) {
    return read(
        json::parse(R"({"architectures": ["Olmo3ForCausalLM"], "num_hidden_layers": 5)" + more + "}"));
  };
  const auto model = olmo3(", " + old_spelling);
  EXPECT_EQ(model.max_positions, 65536);  // 2048 were the default
  EXPECT_EQ(model.norm, NormKind::unrounded);
  EXPECT_EQ(model.rms_norm_eps, 1e-5);
  EXPECT_EQ(model.vocabulary, 50304);
  EXPECT_EQ(model.hidden, 4096);
  EXPECT_EQ(model.intermediate, 11008);
  EXPECT_EQ(model.kv_heads, 32);
  EXPECT_FALSE(model.tied_head);
  for (std::size_t i = 0; i < 5; ++i) {
    const LayerSpec& layer = model.specs[i];
    EXPECT_EQ(layer.query_key_norm, QueryKeyNorm::per_row);
    EXPECT_EQ(layer.window, i == 3 ? 0 : 4096) << i;
    EXPECT_EQ(layer.rope.theta, 5e5) << i;
    EXPECT_EQ(layer.rope.attention_factor, i == 3 ? 1.25 : 1.0) << i;
    EXPECT_EQ(std::holds_alternative<RopeConfig::Yarn>(layer.rope.scaling), i == 3) << i;
  }
  EXPECT_EQ(olmo3(R"(, "rope_parameters": {"full_attention": {)" + yarn + "}}").specs, model.specs);
  EXPECT_EQ(
      olmo3(", " + old_spelling + R"(, "rope_parameters": {"full_attention": {"rope_theta": 5e5}})").specs,
      model.specs);
  const auto two = olmo3(R"(, "rope_parameters": {"full_attention": {"rope_theta": 1e4},
                             "sliding_attention": {"rope_theta": 1e3, "rope_type": "linear", "factor": 2}})");
  EXPECT_EQ(two.specs[3].rope, (RopeConfig{.theta = 1e4}));
  EXPECT_EQ(two.specs[4].rope, (RopeConfig{.theta = 1e3, .scaling = RopeConfig::Linear{2}}));
  EXPECT_EQ(two.max_positions, 2048);
  // No layer slides: the window is not asked for.
  const auto full =
      olmo3(R"(, "sliding_window": null, "layer_types": ["full_attention", "full_attention", "full_attention",
                                            "full_attention", "full_attention"])");
  EXPECT_EQ(full.specs.front().window, 0);
}

TEST(ModelConfig, SlidingWindowIsMistralsOnly) {
  auto config = llama();
  config["sliding_window"] = 4096;
  EXPECT_EQ(read(config).specs.front().window, 0);
  config["architectures"] = {"MistralForCausalLM"};
  EXPECT_EQ(read(config).specs.front().window, 4096);
  EXPECT_EQ(read(config).architecture, "MistralForCausalLM");
  config["sliding_window"] = nullptr;
  EXPECT_EQ(read(config).specs.front().window, 0);
  config.erase("sliding_window");
  EXPECT_EQ(read(config).specs.front().window, 4096);  // transformers' default
}

TEST(ModelConfig, MistralsOwnDefaultOfKeyValueHeads) {
  auto config = llama();
  config["architectures"] = {"MistralForCausalLM"};
  config["num_attention_heads"] = 16;
  config.erase("num_key_value_heads");
  EXPECT_EQ(read(config).kv_heads, 8);
  config["num_key_value_heads"] = nullptr;
  EXPECT_EQ(read(config).kv_heads, 16);
}

TEST(ModelConfig, EndOfSequenceIds) {
  EXPECT_THAT(read_with(R"({"eos_token_id": [5, 3, 5]})").eos_ids, ElementsAre(5, 3));
  EXPECT_TRUE(read_with(R"({"eos_token_id": null})").eos_ids.empty());
  EXPECT_THAT(read(llama(), R"({"eos_token_id": [7, 2, 9]})").eos_ids, ElementsAre(2, 7, 9));
  EXPECT_THAT(read(llama(), R"({"eos_token_id": 4})").eos_ids, ElementsAre(2, 4));
  EXPECT_THAT(read(llama(), R"({"eos_token_id": null})").eos_ids, ElementsAre(2));
  expect_bad_data([] { read(llama(), R"({"eos_token_id": "x"})"); },
                  {"generation_config.json", "eos_token_id", "\"x\""});
  expect_bad_data([] { read(llama(), "{"); }, {"generation_config.json", "not valid JSON"});
}

struct Bad {
  const char* patch;  // "-key" removes a key
  std::vector<std::string> message;
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.patch;
}

class BadConfig : public testing::TestWithParam<Bad> {};

TEST_P(BadConfig, IsRefusedByName) {
  auto config = llama();
  const std::string patch = GetParam().patch;
  if (patch[0] == '-') {
    config.erase(patch.substr(1));
  } else {
    config.update(json::parse(patch));
  }
  const TemporaryDirectory directory;
  auto parts = GetParam().message;
  parts.push_back(directory.write("config.json", config.dump()).string());
  expect_bad_data([&] { read_model_config(directory.path()); }, parts);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfig,
    testing::Values(
        Bad{"-architectures", {"architectures is missing"}}, Bad{"-hidden_size", {"hidden_size is missing"}},
        Bad{"-intermediate_size", {"intermediate_size is missing"}},
        Bad{"-num_hidden_layers", {"num_hidden_layers is missing"}},
        Bad{R"({"num_hidden_layers": 10001})", {"num_hidden_layers", "10001", "at most 10000"}},
        Bad{"-num_attention_heads", {"num_attention_heads is missing"}},
        Bad{"-vocab_size", {"vocab_size is missing"}},
        Bad{"-max_position_embeddings", {"max_position_embeddings is missing"}},
        Bad{R"({"architectures": ["BloomForCausalLM"]})",
            {"BloomForCausalLM", "LlamaForCausalLM", "MistralForCausalLM", "GraniteForCausalLM"}},
        Bad{R"({"architectures": "LlamaForCausalLM"})", {"architectures is", "list"}},
        Bad{R"({"architectures": []})", {"architectures is missing", "model_type is missing"}},
        Bad{R"({"architectures": null, "model_type": "bloom"})", {"\"bloom\"", "LlamaForCausalLM"}},
        Bad{R"({"architectures": null, "model_type": 1})", {"model_type is 1"}},
        Bad{R"({"architectures": [1]})", {"architectures is [1]"}},
        Bad{R"({"hidden_size": 0})", {"hidden_size is 0"}},
        Bad{R"({"hidden_size": -576})", {"hidden_size is -576"}},
        Bad{R"({"hidden_size": 576.0})", {"hidden_size is 576.0"}},
        Bad{R"({"hidden_size": "576"})", {"hidden_size is \"576\""}},
        Bad{R"({"hidden_size": true})", {"hidden_size is true"}},
        Bad{R"({"hidden_size": 9223372036854775808})", {"hidden_size is 9223372036854775808"}},
        Bad{R"({"hidden_size": 1e300})", {"hidden_size is 1e+300"}},
        Bad{R"({"vocab_size": 268435457})", {"vocab_size is 268435457"}},
        Bad{R"({"num_key_value_heads": 2})", {"num_attention_heads is 9", "num_key_value_heads, 2"}},
        Bad{R"({"num_key_value_heads": 18})", {"num_key_value_heads, 18"}},
        Bad{R"({"num_key_value_heads": 0})", {"num_key_value_heads is 0"}},
        Bad{R"({"hidden_size": 577})", {"hidden_size is 577", "num_attention_heads, 9", "head_dim"}},
        Bad{R"({"head_dim": 63})", {"head_dim is 63", "even"}},
        Bad{R"({"hidden_size": 9})", {"head_dim is 1", "even"}}, Bad{R"({"head_dim": 0})", {"head_dim is 0"}},
        Bad{R"({"rms_norm_eps": 0})", {"rms_norm_eps is 0"}},
        Bad{R"({"rms_norm_eps": "1e-5"})", {"rms_norm_eps is \"1e-5\""}},
        Bad{R"({"hidden_act": "relu"})", {"hidden_act is \"relu\"", "silu", "gelu"}},
        Bad{R"({"hidden_act": 1})", {"hidden_act is 1"}},
        Bad{R"({"attention_bias": 0})", {"attention_bias is 0"}},
        Bad{R"({"architectures": ["MistralForCausalLM"], "mlp_bias": true})", {"mlp_bias is true", "bias"}},
        Bad{R"({"tie_word_embeddings": 1})", {"tie_word_embeddings is 1"}},
        Bad{R"({"torch_dtype": "int8"})", {"torch_dtype is \"int8\""}},
        Bad{R"({"dtype": "tf32"})", {": dtype is \"tf32\""}}, Bad{R"({"dtype": 16})", {": dtype is 16"}},
        Bad{R"({"rope_theta": -1})", {"rope_theta is -1"}},
        Bad{R"({"rope_scaling": "linear"})", {"rope_scaling is \"linear\""}},
        Bad{R"({"rope_scaling": {"type": "mrope", "factor": 2.0}})",
            {"rope_scaling: type is \"mrope\"", "llama3", "yarn"}},
        Bad{R"({"rope_scaling": {"type": "linear"}})", {"rope_scaling: factor is missing"}},
        Bad{R"({"rope_scaling": {"type": "linear", "factor": 0.5}})", {"factor is 0.5", "at least 1"}},
        Bad{R"({"rope_scaling": {"type": "dynamic", "factor": 2}, "head_dim": 2})", {"2 rotated", "needs 4"}},
        Bad{R"({"rope_scaling": {"rope_type": "yarn", "factor": 4, "beta_fast": 1, "beta_slow": 2}})",
            {"beta_fast is 1", "beta_slow (2"}},
        Bad{R"({"rope_scaling": {"rope_type": "longrope", "short_factor": [1, 2], "long_factor": [1]}})",
            {"short_factor is", "list of 32"}},
        Bad{R"({"head_dim": 4, "rope_scaling": {"rope_type": "longrope", "short_factor": [1, 2],
                "long_factor": [1, 0]}})",
            {"long_factor is 0", "positive"}},
        Bad{R"({"rope_parameters": {"rope_type": 3}})", {"rope_parameters: rope_type is 3"}},
        Bad{R"({"rope_parameters": {"rope_theta": 0}})", {"rope_parameters: rope_theta is 0"}},
        Bad{R"({"rope_parameters": {"partial_rotary_factor": 0.5}})",
            {"partial_rotary_factor is 0.5", "LlamaForCausalLM"}},
        Bad{R"({"architectures": ["Phi3ForCausalLM"], "partial_rotary_factor": 0.3, "head_dim": 10})",
            {"partial_rotary_factor is 0.3", "3 of 10"}},
        Bad{R"({"architectures": ["Qwen3ForCausalLM"], "layer_types": ["full_attention"]})",
            {"layer_types names 1 layers", "30"}},
        Bad{R"({"architectures": ["Gemma2ForCausalLM"], "num_hidden_layers": 1, "layer_types": ["chunked_attention"]})",
            {"chunked_attention", "sliding_attention"}},
        Bad{R"({"architectures": ["Olmo3ForCausalLM"]})",
            {"rope_theta is 100000.0", "500000", "rope_parameters"}},
        Bad{R"({"architectures": ["Olmo3ForCausalLM"], "rope_theta": 5e5, "sliding_window": null})",
            {"sliding_window is null or missing"}},
        Bad{R"({"architectures": ["Olmo3ForCausalLM"], "rope_theta": 5e5, "rope_parameters": {"rope_type": "yarn"}})",
            {"rope_parameters: rope_type is \"yarn\"", "full_attention and sliding_attention"}},
        Bad{R"({"architectures": ["Olmo3ForCausalLM"], "rope_theta": 5e5, "partial_rotary_factor": 0.5})",
            {"partial_rotary_factor is 0.5"}},
        Bad{R"({"architectures": ["Gemma3ForCausalLM"], "query_pre_attn_scalar": 256, "rope_local_base_freq": 1e4,
                "rope_parameters": {"sliding_attention": {"rope_theta": 2e4}}})",
            {"rope_parameters: sliding_attention: rope_theta is 20000.0", "10000.0", "rope_local_base_freq"}},
        Bad{R"({"architectures": ["Gemma3ForCausalLM"], "use_bidirectional_attention": true})",
            {"use_bidirectional_attention is true", "causal"}},
        Bad{R"({"architectures": ["Qwen2ForCausalLM"], "num_hidden_layers": 1,
                "layer_types": ["sliding_attention"]})",
            {"layer_types has sliding_attention", "use_sliding_window is false"}},
        Bad{R"({"architectures": ["MistralForCausalLM"], "num_hidden_layers": 1, "sliding_window": null,
                "layer_types": ["sliding_attention"]})",
            {"layers slide", "sliding_window is null"}},
        Bad{R"({"rope_theta": null, "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2}}})",
            {"rope_parameters: full_attention is", "LlamaForCausalLM has one rope"}},
        Bad{R"({"architectures": ["LlavaForConditionalGeneration"], "text_config": {"model_type": "bloom"}})",
            {"text_config", "bloom"}},
        Bad{R"({"architectures": ["LlavaForConditionalGeneration"], "text_config": {"model_type": "llama"}})",
            {"text_config: hidden_size is missing"}},
        Bad{R"({"partial_rotary_factor": 0.25})", {"partial_rotary_factor is 0.25"}},
        Bad{R"({"rope_parameters": {"rope_theta": 1.0}, "rope_scaling": {"type": "default"}})",
            {"rope_parameters: rope_theta is 1.0", "100000.0", "rope_scaling", "remove one"}},
        Bad{R"({"rope_scaling": {"type": "llama3", "rope_type": "default"}})",
            {"type is \"llama3\"", "remove one"}},
        Bad{R"({"rope_parameters": {"factor": 8}, "rope_scaling": {"factor": 4}})",
            {"rope_parameters: factor is 8", "it is 4"}},
        Bad{R"({"rope_scaling": {"type": "llama3"}})", {"rope_scaling: factor is missing"}},
        Bad{R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4,
                "original_max_position_embeddings": 8192}})",
            {"rope_scaling: high_freq_factor is 4", "low_freq_factor (4)"}},
        Bad{R"({"eos_token_id": -1})", {"eos_token_id is -1"}},
        Bad{R"({"eos_token_id": 2.5})", {"eos_token_id is 2.5"}},
        Bad{R"({"eos_token_id": [1, "x"]})", {"eos_token_id is [1,\"x\"]"}},
        Bad{R"({"eos_token_id": 2147483648})", {"eos_token_id is 2147483648"}},
        Bad{R"({"architectures": ["MistralForCausalLM"], "sliding_window": 0})", {"sliding_window is 0"}}));

TEST(ModelConfig, FileErrors) {
  const TemporaryDirectory directory;
  const auto path = (directory / "config.json").string();
  const auto refused = [&](std::vector<std::string> parts) {
    parts.push_back(path);
    expect_bad_data([&] { read_model_config(directory.path()); }, parts);
  };
  refused({"no such file"});
  directory.write("config.json", "");
  refused({"not valid JSON"});
  directory.write("config.json", "[]");
  refused({"object is expected"});
  directory.write("config.json", R"({"hidden_size": 1, "hidden_size": 2})");
  refused({"\"hidden_size\"", "twice"});
  directory.write("config.json", std::string((16 << 20) + 1, ' '));
  refused({"16777217 bytes"});
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  refused({"regular file"});
}

// Random changes: an Error, or a config whose sizes are in range. Never a crash.
TEST(ModelConfig, Mutations) {
  const TemporaryDirectory directory;
  std::mt19937 random(20240608);
  const auto pick = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
  };
  auto config = llama();
  config["rope_scaling"] = {{"type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 8192}};
  const std::string seed = config.dump();
  const std::vector<std::string> pieces = {"null",
                                           "true",
                                           "-",
                                           "0",
                                           "9",
                                           "1e999",
                                           "1e-999",
                                           ".5",
                                           "[]",
                                           "{}",
                                           "\"x\"",
                                           ",",
                                           "9223372036854775807",
                                           "\"",
                                           "\\ud800",
                                           "\xFF",
                                           "[",
                                           "}",
                                           "Mistral"};
  int accepted = 0;
  for (int i = 0; i < 6000; ++i) {
    std::string text = seed;
    for (std::size_t n = 1 + pick(3); n > 0; --n) {
      const auto at = pick(text.size());
      switch (pick(4)) {
        case 0:
          text[at] = static_cast<char>(pick(256));
          break;
        case 1:
          text.erase(at, 1 + pick(8));
          break;
        case 2:
          text.insert(at, pieces[pick(pieces.size())]);
          break;
        default:
          text.insert(at, text.substr(pick(text.size()), pick(30)));
      }
    }
    directory.write(pick(2) == 0 ? "config.json" : "generation_config.json", text);
    try {
      const auto model = read_model_config(directory.path());
      ++accepted;
      EXPECT_GT(model.head_dim, 0);
      EXPECT_EQ(model.head_dim % 2, 0);
      EXPECT_EQ(model.query_heads % model.kv_heads, 0);
      EXPECT_GT(model.rms_norm_eps, 0);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      EXPECT_THAT(error.what(), testing::HasSubstr(directory.path().string()));
      EXPECT_LT(std::string(error.what()).size(), 600U);
    }
    if (pick(3) == 0) {
      directory.write("config.json", seed);
    }
  }
  EXPECT_GT(accepted, 50);
}

}  // namespace
}  // namespace shardrift
