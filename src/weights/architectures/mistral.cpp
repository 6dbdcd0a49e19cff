// MistralForCausalLM: Llama without biases, with a sliding window; in the layers that layer_types says, where
// it is given (Ministral, which transformers takes a Mistral with layer_types for).
#include "weights/architectures/mistral.hpp"

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

void describe(const JsonObject& given, ModelConfig& model) {
  refuse_set(given, {"attention_bias", "mlp_bias"}, "MistralForCausalLM has linear layers without bias only");
  const auto all = with_defaults(given, R"({"num_key_value_heads": 8, "sliding_window": 4096})");
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec layer;
  layer.rope = read_rope(config, model);
  layer.activation = read_activation(config);
  const std::int64_t window = config.get("sliding_window") == nullptr ? 0 : config.size("sliding_window");
  for (const bool slides : read_layer_types(config, model, [&](std::int64_t) { return window > 0; })) {
    layer.window = slides ? window_of_sliding_layer(config) : 0;
    model.specs.push_back(layer);
  }
}

}  // namespace

const Architecture kMistral{"MistralForCausalLM", "mistral", describe, kDecoderTensors};

}  // namespace shardrift
