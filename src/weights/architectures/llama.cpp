// LlamaForCausalLM: norms before both blocks, grouped queries, rope, a gated MLP; biases where the config
// says so.
#include "weights/architectures/llama.hpp"

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

void describe(const JsonObject& config, ModelConfig& model) {
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec layer;
  layer.rope = read_rope(config, model);
  layer.activation = read_activation(config);
  const bool attention_bias = config.flag("attention_bias");
  const bool mlp_bias = config.flag("mlp_bias");
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = attention_bias;
  layer[Block::mlp].input_bias = layer[Block::mlp].output_bias = mlp_bias;
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

}  // namespace

const Architecture kLlama{"LlamaForCausalLM", "llama", describe, kDecoderTensors};

}  // namespace shardrift
