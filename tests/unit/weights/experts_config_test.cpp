// config.json of mixtures of experts: defaults, both spellings, what is refused, and where gpt-oss' matrices
// lie.
#include <nlohmann/json.hpp>

#include "weight_files.hpp"
#include "weights/architectures/architecture.hpp"
#include "weights/describe.hpp"
#include "weights/model_config.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

const char* const kSizes = R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
  "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 256})";

ModelConfig read(const char* architecture, const std::string& patch = "{}") {
  auto config = json::parse(kSizes);
  config["architectures"] = {architecture};
  config.update(json::parse(patch));
  return parse_model_config(config.dump(), "config.json");
}

TEST(Experts, OfMixtral) {
  const auto model = read("MixtralForCausalLM");
  EXPECT_EQ(model.specs.size(), 4U);
  const LayerSpec& layer = model.specs.back();
  EXPECT_EQ(layer.experts, (ExpertsSpec{8, 2, 96, RouteWeights::softmax_renormalized, false}));
  EXPECT_EQ(layer.window, 0);
  EXPECT_EQ(layer.rope.theta, 1e6);
  EXPECT_EQ(model.rms_norm_eps, 1e-5);
  EXPECT_EQ(model.norm, NormKind::rounded);
  EXPECT_EQ(layer[Block::mlp], BlockSpec());
  const auto other = read("MixtralForCausalLM", R"({"num_local_experts": 5, "num_experts_per_tok": 3,
    "sliding_window": 7, "output_router_logits": true, "router_aux_loss_coef": 0.02, "router_jitter_noise": 0.1})");
  EXPECT_EQ(other.specs.front().experts.count, 5);
  EXPECT_EQ(other.specs.front().experts.active, 3);
  EXPECT_EQ(other.specs.front().window, 7);
}

TEST(Experts, OfQwen3Moe) {
  const auto model = read("Qwen3MoeForCausalLM");
  const LayerSpec& layer = model.specs.front();
  EXPECT_EQ(layer.experts, (ExpertsSpec{128, 8, 768, RouteWeights::softmax, false}));
  EXPECT_EQ(layer.query_key_norm, QueryKeyNorm::per_head);
  EXPECT_EQ(layer.window, 0);
  EXPECT_EQ(model.head_dim, 8);  // hidden / heads: unlike Qwen3's, the class has none of its own
  const auto renormalized = read("Qwen3MoeForCausalLM", R"({"norm_topk_prob": true, "num_experts": 7,
    "num_experts_per_tok": 7, "moe_intermediate_size": 10, "use_sliding_window": true, "sliding_window": 9})");
  EXPECT_EQ(renormalized.specs.front().experts,
            (ExpertsSpec{7, 7, 10, RouteWeights::softmax_renormalized, false}));
  EXPECT_EQ(renormalized.specs.front().window, 9);
  EXPECT_EQ(renormalized.specs.back().window, 9);
}

// Which layers have experts.
TEST(Experts, OfQwen3MoeLayers) {
  const auto sparse = [](const std::string& patch) {
    std::vector<int> layers;
    for (const auto& layer : read("Qwen3MoeForCausalLM", patch).specs)
      layers.push_back(layer.experts.count > 0 ? 1 : 0);
    return layers;
  };
  EXPECT_THAT(sparse("{}"), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(sparse(R"({"mlp_only_layers": null})"), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(sparse(R"({"mlp_only_layers": [0, 2]})"), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(sparse(R"({"decoder_sparse_step": 2})"), ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(sparse(R"({"decoder_sparse_step": 3, "mlp_only_layers": [1]})"), ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(sparse(R"({"decoder_sparse_step": 2, "mlp_only_layers": [3, 99]})"), ElementsAre(0, 1, 0, 0));
}

TEST(Experts, OfGptOss) {
  const auto model = read("GptOssForCausalLM");
  EXPECT_EQ(model.norm, NormKind::unrounded);
  EXPECT_EQ(model.head_dim, 64);
  EXPECT_EQ(model.max_positions, 32 * 4096);
  const LayerSpec& layer = model.specs.front();
  EXPECT_EQ(layer.experts, (ExpertsSpec{128, 4, 96, RouteWeights::softmax_of_chosen, true}));
  EXPECT_TRUE(layer.sinks);
  EXPECT_EQ(layer.activation, Activation::clamped_swish);
  EXPECT_EQ(layer.activation_limit, 7.0);
  EXPECT_EQ(layer.rope.theta, 150000.0);
  EXPECT_EQ(std::get<RopeConfig::Yarn>(layer.rope.scaling),
            (RopeConfig::Yarn{32.0, 32.0, 1.0, 4096.0, false}));
  for (const Block block : kBlocks) {
    EXPECT_TRUE(layer[block].input_bias);
    EXPECT_TRUE(layer[block].output_bias);
  }
  std::vector<std::int64_t> windows;
  for (const auto& spec : model.specs) windows.push_back(spec.window);
  EXPECT_THAT(windows, ElementsAre(128, 0, 128, 0));

  const auto other =
      read("GptOssForCausalLM", R"({"rope_scaling": {"rope_type": "default"}, "rope_theta": 1000,
    "swiglu_limit": 0.5, "attention_bias": false, "sliding_window": 6, "experts_per_token": 3,
    "num_local_experts": 5, "layer_types": ["full_attention", "full_attention", "sliding_attention", "full_attention"]})");
  EXPECT_EQ(other.specs[2].window, 6);
  EXPECT_EQ(other.specs[0].window, 0);
  EXPECT_EQ(other.specs[0].rope, RopeConfig{.theta = 1000.0});
  EXPECT_EQ(other.specs[0].activation_limit, 0.5);
  EXPECT_FALSE(other.specs[0][Block::attention].input_bias);
  EXPECT_TRUE(other.specs[0][Block::mlp].output_bias);
  EXPECT_EQ(other.specs[0].experts.active, 3);
}

// transformers writes num_local_experts for all of them, and reads both.
TEST(Experts, HaveTwoNamesForTheirNumber) {
  for (const char* architecture : {"MixtralForCausalLM", "Qwen3MoeForCausalLM", "GptOssForCausalLM"})
    for (const char* patch : {R"({"num_experts": 9})", R"({"num_local_experts": 9})",
                              R"({"num_experts": 9, "num_local_experts": 9})"})
      EXPECT_EQ(read(architecture, patch).specs.back().experts.count, 9) << architecture << patch;
}

TEST(Experts, ThatCannotBeAreRefused) {
  struct Bad {
    const char* architecture;
    const char* patch;
    std::vector<const char*> said;
  };
  const char* const mixtral = "MixtralForCausalLM";
  const char* const qwen = "Qwen3MoeForCausalLM";
  const char* const gpt = "GptOssForCausalLM";
  const std::vector<Bad> all{
      {mixtral,
       R"({"num_local_experts": 2, "num_experts_per_tok": 3})",
       {"num_experts_per_tok is 3", "2 experts"}},
      {mixtral, R"({"num_local_experts": 0})", {"num_local_experts is 0"}},
      {mixtral, R"({"num_local_experts": 4097})", {"4097 experts", "at most 4096"}},
      {mixtral, R"({"num_experts_per_tok": 0})", {"num_experts_per_tok is 0"}},
      {mixtral, R"({"num_local_experts": 5, "num_experts": 6})", {"num_experts is 6", "remove one"}},
      {mixtral,
       R"({"layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention"]})",
       {"layer_types", "all layers or in none"}},
      {mixtral, R"({"attention_bias": true})", {"attention_bias"}},
      {qwen, R"({"num_experts": 0})", {"num_experts is 0"}},
      {qwen, R"({"num_experts": 4})", {"num_experts_per_tok is 8"}},
      {qwen, R"({"decoder_sparse_step": 0})", {"decoder_sparse_step is 0"}},
      {qwen, R"({"mlp_only_layers": [-1]})", {"mlp_only_layers"}},
      {qwen, R"({"mlp_only_layers": 3})", {"mlp_only_layers"}},
      {qwen, R"({"moe_intermediate_size": -5})", {"moe_intermediate_size is -5"}},
      {qwen, R"({"scoring_func": "sigmoid"})", {"scoring_func is \"sigmoid\"", "softmax"}},
      {qwen, R"({"n_shared_experts": 1})", {"n_shared_experts is 1"}},
      {qwen, R"({"shared_expert_intermediate_size": 64})", {"shared experts"}},
      {qwen, R"({"n_group": 4})", {"n_group is 4"}},
      {qwen, R"({"routed_scaling_factor": 2.5})", {"routed_scaling_factor is 2.5"}},
      {gpt, R"({"swiglu_alpha": 1.5})", {"swiglu_alpha is 1.5", "1.702"}},
      {gpt, R"({"swiglu_limit": 0})", {"swiglu_limit is 0"}},
      {gpt, R"({"hidden_act": "gelu"})", {"hidden_act", "gelu"}},
      {gpt, R"({"sliding_window": null})", {"sliding_window"}},
      {gpt, R"({"num_experts_per_tok": 2, "experts_per_token": 3})", {"experts_per_token is 3"}},
  };
  for (const auto& [architecture, patch, said] : all) {
    try {
      read(architecture, patch);
      ADD_FAILURE() << architecture << patch << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data);
      for (const char* words : said) EXPECT_THAT(error.what(), HasSubstr(words)) << patch;
    }
  }
  for (const char* patch : {R"({"scoring_func": "softmax", "n_shared_experts": 0, "n_group": 1})",
                            R"({"routed_scaling_factor": 1.0, "shared_expert_intermediate_size": null})"})
    EXPECT_EQ(read(qwen, patch).specs, read(qwen).specs);
}

TEST(Experts, AreDescribed) {
  const auto words = [](const ModelConfig& model) {
    std::vector<std::string> parts;
    for (const auto& kind : layer_kinds(model))
      parts.insert(parts.end(), kind.parts.begin(), kind.parts.end());
    return parts;
  };
  EXPECT_THAT(words(read("MixtralForCausalLM")),
              ElementsAre("8 experts of 96 columns, 2 a token, weights a softmax over all, renormalized"));
  const auto gpt = words(read("GptOssForCausalLM", R"({"layer_types": ["full_attention", "full_attention",
    "full_attention", "full_attention"]})"));
  for (const char* part :
       {"attention sinks", "swish clamped at 7",
        "128 experts of 96 columns, 4 a token, weights a softmax over the chosen, router bias"})
    EXPECT_THAT(gpt, testing::Contains(part));
  EXPECT_THAT(gpt, testing::Not(testing::Contains("GELU")));
}

TEST(Experts, CountAsParameters) {
  const std::int64_t attention = 2 * 64 * (8 + 2) * 8 + 2 * 64;
  const std::int64_t outside = 64 + 2 * 100 * 64;
  EXPECT_EQ(parameter_count(read("MixtralForCausalLM")), outside + 4 * (attention + 8 * 64 * (3 * 96 + 1)));
  EXPECT_EQ(parameter_count(read("Qwen3MoeForCausalLM", R"({"decoder_sparse_step": 2, "num_experts": 10,
              "moe_intermediate_size": 12})")),
            outside + 4 * attention + 2 * 3 * 64 * 96 + 2 * 10 * 64 * (3 * 12 + 1));
}

// gpt-oss has all experts' matrices of a layer in one tensor, transposed, gate and up in turn.
TEST(Experts, OfGptOssLieInOneTensor) {
  const auto model = read("GptOssForCausalLM", R"({"num_local_experts": 5})");
  const auto& architecture = architecture_of(model);
  const auto shape = [&](Part part) { return stored_shape(architecture, model, part, 1); };
  for (const Part part : {Part::expert_gate, Part::expert_up}) {
    EXPECT_EQ(name_in(architecture, part, 1, 3), "model.layers.1.mlp.experts.gate_up_proj");
    EXPECT_THAT(shape(part), ElementsAre(5, 64, 192));
    EXPECT_THAT(matrix_shape(architecture, model, part, 1), ElementsAre(5 * 192, 64));
  }
  EXPECT_THAT(shape(Part::expert_gate_bias), ElementsAre(5, 192));
  EXPECT_THAT(shape(Part::expert_up_bias), ElementsAre(5, 192));
  EXPECT_THAT(shape(Part::expert_down), ElementsAre(5, 96, 64));
  EXPECT_THAT(matrix_shape(architecture, model, Part::expert_down, 1), ElementsAre(5 * 64, 96));
  EXPECT_THAT(shape(Part::expert_down_bias), ElementsAre(5, 64));
  EXPECT_THAT(shape(Part::router), ElementsAre(5, 64));
  EXPECT_THAT(shape(Part::router_bias), ElementsAre(5));
  EXPECT_THAT(shape(Part::sinks), ElementsAre(8));
  EXPECT_EQ(packed_in(architecture, model, Part::expert_up).rows.front().begin, 1);
}

TEST(Experts, OfOthersHaveTensorsOfTheirOwn) {
  const auto mixtral = read("MixtralForCausalLM");
  EXPECT_EQ(name_in(architecture_of(mixtral), Part::expert_up, 2, 7),
            "model.layers.2.block_sparse_moe.experts.7.w3.weight");
  const auto qwen = read("Qwen3MoeForCausalLM");
  EXPECT_EQ(name_in(architecture_of(qwen), Part::expert_down, 11, 127),
            "model.layers.11.mlp.experts.127.down_proj.weight");
  EXPECT_EQ(name_in(architecture_of(qwen), Part::gate, 0), "model.layers.0.mlp.gate_proj.weight");
}

}  // namespace
}  // namespace shardrift
