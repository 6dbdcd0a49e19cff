// Checkpoints of mixtures of experts: what is missing, of another shape, or fused is named before weights are
// read.
#include <map>
#include <nlohmann/json.hpp>

#include "weight_files.hpp"
#include "weights/architectures/architecture.hpp"
#include "weights/fit.hpp"
#include "weights/model_config.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

// Two layers, the first of Qwen3-MoE's dense; three experts.
ModelConfig model_of(const std::string& architecture) {
  auto config = json::parse(R"({"hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 2, "vocab_size": 5, "max_position_embeddings": 64,
    "num_local_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 3, "mlp_only_layers": [0]})");
  config["architectures"] = {architecture};
  return parse_model_config(config.dump(), "config.json");
}

bool is_in_layers(const TensorName& tensor) {
  return tensor.name.find("{}") != std::string_view::npos;
}

// All that the checkpoint has to have.
Shapes tensors_of(const ModelConfig& model) {
  const auto& architecture = architecture_of(model);
  Shapes shapes;
  for (const auto& tensor : architecture.tensors)
    for (std::int64_t layer = 0; layer < (is_in_layers(tensor) ? model.layers : 1); ++layer) {
      const LayerSpec& spec = model.specs[static_cast<std::size_t>(layer)];
      const bool mixture = spec.experts.count > 0;
      const bool of_mixture = is_expert_part(tensor.part) || tensor.part == Part::router;
      const bool dense = tensor.part >= Part::gate && tensor.part <= Part::down_bias;
      const bool bias = tensor.part == Part::query_bias || tensor.part == Part::key_bias ||
                        tensor.part == Part::value_bias || tensor.part == Part::attention_output_bias;
      if ((of_mixture && !mixture) || (dense && mixture) || (bias && !spec[Block::attention].input_bias))
        continue;
      for (std::int64_t expert = 0; expert < (is_expert_part(tensor.part) ? spec.experts.count : 1); ++expert)
        shapes[name_in(architecture, tensor.part, layer, expert)] =
            stored_shape(architecture, model, tensor.part, layer);
    }
  return shapes;
}

std::vector<std::string> problems_of(const ModelConfig& model, const Shapes& shapes) {
  const TemporaryDirectory folder;
  json header = json::object();
  std::size_t end = 0;
  for (const auto& [name, shape] : shapes) {
    std::size_t bytes = 4;
    for (const auto count : shape) bytes *= static_cast<std::size_t>(count);
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {end, end + bytes}}};
    end += bytes;
  }
  folder.write("model.safetensors", safetensors(header.dump(), std::string(end, '\0')));
  return fit(model, Checkpoint::open(folder.path())).problems;
}

TEST(ExpertsFit, AllTensorsAreUsed) {
  for (const char* name : {"MixtralForCausalLM", "Qwen3MoeForCausalLM", "GptOssForCausalLM"}) {
    const auto model = model_of(name);
    EXPECT_THAT(problems_of(model, tensors_of(model)), IsEmpty());
  }
  const auto qwen = tensors_of(model_of("Qwen3MoeForCausalLM"));
  EXPECT_EQ(qwen.count("model.layers.0.mlp.gate_proj.weight"), 1U);
  EXPECT_EQ(qwen.count("model.layers.0.mlp.gate.weight"), 0U);
  EXPECT_EQ(qwen.count("model.layers.1.mlp.experts.2.down_proj.weight"), 1U);
  EXPECT_EQ(
      tensors_of(model_of("MixtralForCausalLM")).count("model.layers.1.block_sparse_moe.experts.0.w2.weight"),
      1U);
}

TEST(ExpertsFit, AMissingRouterOrExpertIsNamed) {
  const auto named = [](const char* architecture, const std::string& missing) {
    const auto model = model_of(architecture);
    auto shapes = tensors_of(model);
    EXPECT_EQ(shapes.erase(missing), 1U) << missing;
    EXPECT_THAT(problems_of(model, shapes), testing::ElementsAre(HasSubstr(missing)));
  };
  named("MixtralForCausalLM", "model.layers.1.block_sparse_moe.gate.weight");
  named("MixtralForCausalLM", "model.layers.0.block_sparse_moe.experts.2.w3.weight");
  named("Qwen3MoeForCausalLM", "model.layers.1.mlp.gate.weight");
  named("GptOssForCausalLM", "model.layers.0.mlp.router.weight");
  named("GptOssForCausalLM", "model.layers.0.mlp.router.bias");
  named("GptOssForCausalLM", "model.layers.1.self_attn.sinks");
  named("GptOssForCausalLM", "model.layers.1.mlp.experts.down_proj_bias");
}

TEST(ExpertsFit, OtherShapesAreNamed) {
  const auto named = [](const char* architecture, const std::string& tensor, std::vector<std::int64_t> shape,
                        const std::string& wanted) {
    const auto model = model_of(architecture);
    auto shapes = tensors_of(model);
    ASSERT_EQ(shapes.count(tensor), 1U) << tensor;
    shapes[tensor] = std::move(shape);
    EXPECT_THAT(problems_of(model, shapes), testing::Contains(AllOf(HasSubstr(tensor), HasSubstr(wanted))));
  };
  named("MixtralForCausalLM", "model.layers.1.block_sparse_moe.gate.weight", {4, 4}, "[3,4]");
  named("MixtralForCausalLM", "model.layers.1.block_sparse_moe.experts.0.w2.weight", {6, 4}, "[4,6]");
  named("Qwen3MoeForCausalLM", "model.layers.1.mlp.experts.1.up_proj.weight", {6, 4}, "[3,4]");
  named("GptOssForCausalLM", "model.layers.0.mlp.experts.gate_up_proj", {3, 12, 4}, "[3,4,12]");
  named("GptOssForCausalLM", "model.layers.0.mlp.experts.gate_up_proj", {2, 4, 12}, "[3,4,12]");
  named("GptOssForCausalLM", "model.layers.0.mlp.experts.down_proj_bias", {3, 6}, "[3,4]");
  named("GptOssForCausalLM", "model.layers.0.self_attn.sinks", {4}, "[2]");
}

// Experts in one tensor a layer, as transformers 5 holds them in memory: no published checkpoint has them so.
TEST(ExpertsFit, FusedExpertsAreRefused) {
  const auto model = model_of("MixtralForCausalLM");
  Shapes shapes;
  for (const auto& [name, shape] : tensors_of(model))
    if (name.find(".experts.") == std::string::npos) shapes[name] = shape;
  for (const std::string layer : {"0", "1"}) {
    shapes["model.layers." + layer + ".mlp.experts.gate_up_proj"] = {3, 12, 4};
    shapes["model.layers." + layer + ".mlp.experts.down_proj"] = {3, 4, 6};
  }
  const auto problems = problems_of(model, shapes);
  EXPECT_THAT(problems, testing::Contains(HasSubstr("block_sparse_moe.experts.0.w1.weight")));
  EXPECT_THAT(problems, testing::Contains(HasSubstr("mlp.experts.gate_up_proj")));
}

// More experts than config.json says would be left out.
TEST(ExpertsFit, ExpertsThatNoRouterKnowsAreRefused) {
  const auto model = model_of("Qwen3MoeForCausalLM");
  auto shapes = tensors_of(model);
  shapes["model.layers.1.mlp.experts.3.up_proj.weight"] = {3, 4};
  EXPECT_THAT(problems_of(model, shapes), testing::ElementsAre(HasSubstr("experts.3.up_proj")));
}

TEST(ExpertsFit, DecodePassesAreCapturedWhereTheHostNeedNotSeeTheRoutes) {
  const ModelConfig mixture = model_of("MixtralForCausalLM");
  Plan plan;
  plan.device = Device::cuda;
  plan.dtype = DType::bfloat16;
  EXPECT_THAT(why_not_captured(plan, mixture), HasSubstr("--products fixed"));
  plan.launch = Launch::captured;
  EXPECT_THROW(require_fits(plan, mixture), Error);
  plan.products = Products::fixed;
  EXPECT_EQ(why_not_captured(plan, mixture), "");
  EXPECT_NO_THROW(require_fits(plan, mixture));
  plan.dtype = DType::float32;
  EXPECT_THAT(why_not_captured(plan, mixture), HasSubstr("16 bits"));
}

}  // namespace
}  // namespace shardrift
