// Qwen3MoeForCausalLM: Qwen3 with experts in place of the MLP of every decoder_sparse_step-th layer, but for
// those in mlp_only_layers. Its window, where it uses one, is in all layers (max_window_layers is not asked).
#include "weights/architectures/qwen_moe.hpp"

#include <algorithm>
#include <array>

#include "weights/architectures/decoder.hpp"
#include "weights/architectures/experts.hpp"

namespace shardrift {
namespace {

std::vector<std::int64_t> read_dense_layers(const JsonObject& config) {
  constexpr const char* kKey = "mlp_only_layers";
  std::vector<std::int64_t> layers;
  if (config.get(kKey) == nullptr) return layers;
  for (const auto& layer : config.list(kKey))
    layers.push_back(config.integer_of(kKey, layer, 0, std::int64_t{1} << 28));
  return layers;
}

void describe(const JsonObject& given, ModelConfig& model) {
  const auto all = with_defaults(given, R"({"num_key_value_heads": 4, "sliding_window": 4096})");
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec dense;
  dense.query_key_norm = QueryKeyNorm::per_head;
  dense[Block::attention].input_bias = dense[Block::attention].output_bias = config.flag("attention_bias");
  dense.rope = read_rope(config, model);
  dense.activation = read_activation(config);
  dense.window = window_of_all_layers(
      config, model, config.flag("use_sliding_window") && config.get("sliding_window") != nullptr);
  LayerSpec sparse = dense;
  sparse.experts = read_experts(config, {.count = 128, .active = 8});
  sparse.experts.intermediate = config.size("moe_intermediate_size", 768);
  sparse.experts.weights =
      config.flag("norm_topk_prob") ? RouteWeights::softmax_renormalized : RouteWeights::softmax;
  const auto step = config.size("decoder_sparse_step", 1);
  const auto dense_layers = read_dense_layers(config);
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    const bool listed = std::find(dense_layers.begin(), dense_layers.end(), layer) != dense_layers.end();
    model.specs.push_back(listed || (layer + 1) % step != 0 ? dense : sparse);
  }
}

constexpr std::array kTensors{
    TensorName{Part::embedding, "model.embed_tokens.weight"},
    TensorName{Part::attention_norm, "model.layers.{}.input_layernorm.weight"},
    TensorName{Part::query_norm, "model.layers.{}.self_attn.q_norm.weight"},
    TensorName{Part::key_norm, "model.layers.{}.self_attn.k_norm.weight"},
    TensorName{Part::query, "model.layers.{}.self_attn.q_proj.weight"},
    TensorName{Part::key, "model.layers.{}.self_attn.k_proj.weight"},
    TensorName{Part::value, "model.layers.{}.self_attn.v_proj.weight"},
    TensorName{Part::query_bias, "model.layers.{}.self_attn.q_proj.bias"},
    TensorName{Part::key_bias, "model.layers.{}.self_attn.k_proj.bias"},
    TensorName{Part::value_bias, "model.layers.{}.self_attn.v_proj.bias"},
    TensorName{Part::attention_output, "model.layers.{}.self_attn.o_proj.weight"},
    TensorName{Part::attention_output_bias, "model.layers.{}.self_attn.o_proj.bias"},
    TensorName{Part::mlp_norm, "model.layers.{}.post_attention_layernorm.weight"},
    TensorName{Part::gate, "model.layers.{}.mlp.gate_proj.weight"},
    TensorName{Part::up, "model.layers.{}.mlp.up_proj.weight"},
    TensorName{Part::down, "model.layers.{}.mlp.down_proj.weight"},
    TensorName{Part::router, "model.layers.{}.mlp.gate.weight"},
    TensorName{Part::expert_gate, "model.layers.{}.mlp.experts.{}.gate_proj.weight"},
    TensorName{Part::expert_up, "model.layers.{}.mlp.experts.{}.up_proj.weight"},
    TensorName{Part::expert_down, "model.layers.{}.mlp.experts.{}.down_proj.weight"},
    TensorName{Part::final_norm, "model.norm.weight"},
    TensorName{Part::head, "lm_head.weight"},
};

}  // namespace

const Architecture kQwen3Moe{"Qwen3MoeForCausalLM", "qwen3_moe", describe, kTensors};

}  // namespace shardrift
