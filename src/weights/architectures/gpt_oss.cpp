// GptOssForCausalLM: layers with and without a window in turn, an attention sink a head, biases everywhere,
// and experts whose gate is clamped. All experts' matrices of a layer lie in one tensor, [expert, in, out],
// the columns of gate and up in turn; published ones are MXFP4, [expert, out, in] (codings/).
#include "weights/architectures/gpt_oss.hpp"

#include <array>

#include "weights/architectures/decoder.hpp"
#include "weights/architectures/experts.hpp"

namespace shardrift {
namespace {

constexpr double kAlpha = 1.702;  // of clamped_swish

RopeConfig read_own_rope(const JsonObject& config, ModelConfig& model) {
  if (config.get("rope_scaling") != nullptr || config.get("rope_parameters") != nullptr)
    return read_rope(config, model, {.theta = 150000.0});
  auto all = config.json();
  all["rope_scaling"] = nlohmann::json::parse(R"({"rope_type": "yarn", "factor": 32.0, "truncate": false,
    "original_max_position_embeddings": 4096})");
  return read_rope(JsonObject(all, config.where()), model, {.theta = 150000.0});
}

void describe(const JsonObject& given, ModelConfig& model) {
  const auto all = with_defaults(given, R"({"num_key_value_heads": 8, "head_dim": 64, "sliding_window": 128,
    "rms_norm_eps": 1e-5, "attention_bias": true})");
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  model.norm = NormKind::unrounded;
  if (read_activation(config) != Activation::silu)
    throw config.wrong("hidden_act", *config.get("hidden_act"), "gpt-oss has silu, clamped");
  if (config.number("swiglu_alpha", kAlpha) != kAlpha)
    throw config.wrong("swiglu_alpha", *config.get("swiglu_alpha"),
                       fmt::format("this version computes {}", kAlpha));
  LayerSpec layer;
  for (const Block block : kBlocks) layer[block].input_bias = layer[block].output_bias = true;
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = config.flag("attention_bias");
  layer.sinks = true;
  layer.rope = read_own_rope(config, model);
  layer.activation = Activation::clamped_swish;
  layer.activation_limit = config.positive("swiglu_limit", 7.0);
  layer.experts = read_experts(config, {.count = 128, .active = 4});
  layer.experts.intermediate = model.intermediate;
  layer.experts.weights = RouteWeights::softmax_of_chosen;
  layer.experts.router_bias = true;
  for (const bool slides :
       read_layer_types(config, model, [](std::int64_t index) { return index % 2 == 0; })) {
    layer.window = slides ? window_of_sliding_layer(config) : 0;
    model.specs.push_back(layer);
  }
}

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.input_layernorm.weight"},
    TensorName{Part::query, "model.layers.{}.self_attn.q_proj.weight"},
    TensorName{Part::key, "model.layers.{}.self_attn.k_proj.weight"},
    TensorName{Part::value, "model.layers.{}.self_attn.v_proj.weight"},
    TensorName{Part::query_bias, "model.layers.{}.self_attn.q_proj.bias"},
    TensorName{Part::key_bias, "model.layers.{}.self_attn.k_proj.bias"},
    TensorName{Part::value_bias, "model.layers.{}.self_attn.v_proj.bias"},
    TensorName{Part::sinks, "model.layers.{}.self_attn.sinks"},
    TensorName{Part::attention_output, "model.layers.{}.self_attn.o_proj.weight"},
    TensorName{Part::attention_output_bias, "model.layers.{}.self_attn.o_proj.bias"},
    TensorName{Part::mlp_norm, "model.layers.{}.post_attention_layernorm.weight"},
    TensorName{Part::router, "model.layers.{}.mlp.router.weight"},
    TensorName{Part::router_bias, "model.layers.{}.mlp.router.bias"},
    TensorName{Part::expert_gate, "model.layers.{}.mlp.experts.gate_up_proj"},
    TensorName{Part::expert_up, "model.layers.{}.mlp.experts.gate_up_proj"},
    TensorName{Part::expert_gate_bias, "model.layers.{}.mlp.experts.gate_up_proj_bias"},
    TensorName{Part::expert_up_bias, "model.layers.{}.mlp.experts.gate_up_proj_bias"},
    TensorName{Part::expert_down, "model.layers.{}.mlp.experts.down_proj"},
    TensorName{Part::expert_down_bias, "model.layers.{}.mlp.experts.down_proj_bias"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "lm_head.weight"},
};

PackedRows packed(const ModelConfig& model, Part part) {
  const ExpertsSpec& experts = model.specs.front().experts;
  const std::int64_t both = 2 * experts.intermediate;
  switch (part) {
    case Part::expert_gate:
    case Part::expert_up:
    case Part::expert_gate_bias:
    case Part::expert_up_bias: {
      const bool up = part == Part::expert_up || part == Part::expert_up_bias;
      return {.tensor_rows = both,
              .rows = {{up ? 1 : 0, both}},
              .stride = 2,
              .experts = experts.count,
              .transposed = part == Part::expert_gate || part == Part::expert_up};
    }
    case Part::expert_down:
      return {.tensor_rows = model.hidden,
              .rows = {{0, model.hidden}},
              .experts = experts.count,
              .transposed = true};
    case Part::expert_down_bias:
      return {.tensor_rows = 1, .rows = {{0, 1}}, .experts = experts.count};
    default:
      return {};
  }
}

}  // namespace

const Architecture kGptOss{"GptOssForCausalLM", "gpt_oss", describe, kTensors, packed};

}  // namespace shardrift
