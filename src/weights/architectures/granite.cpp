// GraniteForCausalLM: Llama with four multipliers: of the embedding, the attention scores, the blocks' sums
// and (a divisor) the logits.
#include "weights/architectures/granite.hpp"

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

void describe(const JsonObject& config, ModelConfig& model) {
  read_sizes(config, model);
  read_heads(config, model);
  model.embedding_scale = config.positive("embedding_multiplier", 1.0);
  model.logits_divisor = config.positive("logits_scaling", 1.0);
  LayerSpec layer;
  layer.score_scale = config.positive("attention_multiplier", 1.0);
  layer.residual_multiplier = config.positive("residual_multiplier", 1.0);
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = config.flag("attention_bias");
  layer[Block::mlp].input_bias = layer[Block::mlp].output_bias = config.flag("mlp_bias");
  layer.rope = read_rope(config, model);
  layer.activation = read_activation(config);
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

}  // namespace

const Architecture kGranite{"GraniteForCausalLM", "granite", describe, kDecoderTensors};

}  // namespace shardrift
