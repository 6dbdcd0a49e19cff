// MixtralForCausalLM: Mistral with experts in place of every layer's MLP; a token's weights are the softmax
// of all, divided by the sum of the chosen ones'. Its window, where there is one, is in all layers.
#include "weights/architectures/mixtral.hpp"

#include <array>

#include "weights/architectures/decoder.hpp"
#include "weights/architectures/experts.hpp"

namespace shardrift {
namespace {

void describe(const JsonObject& given, ModelConfig& model) {
  refuse_set(given, {"attention_bias", "mlp_bias"}, "MixtralForCausalLM has linear layers without bias only");
  const auto all = with_defaults(given, R"({"num_key_value_heads": 8, "rms_norm_eps": 1e-5})");
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec layer;
  layer.rope = read_rope(config, model, {.theta = 1e6});
  layer.activation = read_activation(config);
  layer.experts = read_experts(config, {.count = 8, .active = 2});
  layer.experts.intermediate = model.intermediate;
  layer.window = window_of_all_layers(config, model, config.get("sliding_window") != nullptr);
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.input_layernorm.weight"},
    TensorName{Part::query, "model.layers.{}.self_attn.q_proj.weight"},
    TensorName{Part::key, "model.layers.{}.self_attn.k_proj.weight"},
    TensorName{Part::value, "model.layers.{}.self_attn.v_proj.weight"},
    TensorName{Part::attention_output, "model.layers.{}.self_attn.o_proj.weight"},
    TensorName{Part::mlp_norm, "model.layers.{}.post_attention_layernorm.weight"},
    TensorName{Part::router, "model.layers.{}.block_sparse_moe.gate.weight"},
    TensorName{Part::expert_gate, "model.layers.{}.block_sparse_moe.experts.{}.w1.weight"},
    TensorName{Part::expert_up, "model.layers.{}.block_sparse_moe.experts.{}.w3.weight"},
    TensorName{Part::expert_down, "model.layers.{}.block_sparse_moe.experts.{}.w2.weight"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "lm_head.weight"},
};

}  // namespace

const Architecture kMixtral{"MixtralForCausalLM", "mixtral", describe, kTensors};

}  // namespace shardrift
