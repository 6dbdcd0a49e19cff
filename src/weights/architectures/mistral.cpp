// MistralForCausalLM: Llama without biases, with a sliding window.
#include "weights/architectures/mistral.hpp"

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

void describe(const JsonObject& config, ModelConfig& model) {
  refuse_set(config, {"attention_bias", "mlp_bias"},
             "MistralForCausalLM has linear layers without bias only");
  read_sizes(config, model);
  // transformers' MistralConfig: an absent num_key_value_heads (not null) is 8, an absent sliding_window
  // 4096, null none.
  read_heads(config, model, config.has("num_key_value_heads") ? 0 : 8);
  LayerSpec layer;
  layer.rope = read_rope(config);
  layer.activation = read_activation(config);
  layer.window = config.size("sliding_window", config.has("sliding_window") ? 0 : 4096);
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

}  // namespace

const Architecture kMistral{"MistralForCausalLM", "mistral", describe, kDecoderTensors};

}  // namespace shardrift
