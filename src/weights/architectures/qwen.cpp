// Qwen2ForCausalLM (Qwen2 and Qwen2.5): Llama with biases of queries, keys and values, and where the config
// asks for it a sliding window in the layers from max_window_layers on. Qwen3ForCausalLM: norms of each
// head's query and key instead of the biases.
#include "weights/architectures/qwen.hpp"

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

void describe_windows(const JsonObject& config, ModelConfig& model, LayerSpec layer) {
  const bool uses = config.flag("use_sliding_window") && config.get("sliding_window") != nullptr;
  const auto first = config.integer("max_window_layers", 0, std::int64_t{1} << 28);
  const auto slides =
      read_layer_types(config, model, [&](std::int64_t index) { return uses && index >= first; });
  for (const bool slide : slides) {
    if (slide && !uses)
      throw bad_data(
          "{}: layer_types has sliding_attention, but use_sliding_window is false or there is no "
          "sliding_window",
          config.where());
    layer.window = slide ? window_of_sliding_layer(config) : 0;
    model.specs.push_back(layer);
  }
}

// num_key_value_heads of 32 is the classes' own default.
void describe_qwen2(const JsonObject& given, ModelConfig& model) {
  const auto all =
      with_defaults(given, R"({"num_key_value_heads": 32, "sliding_window": 4096, "max_window_layers": 28})");
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec layer;
  layer[Block::attention].input_bias = true;
  layer.rope = read_rope(config, model);
  layer.activation = read_activation(config);
  describe_windows(config, model, layer);
}

void describe_qwen3(const JsonObject& given, ModelConfig& model) {
  const auto all = with_defaults(
      given,
      R"({"num_key_value_heads": 32, "head_dim": 128, "sliding_window": 4096, "max_window_layers": 28})");
  const JsonObject config(all, given.where());
  read_sizes(config, model);
  read_heads(config, model);
  LayerSpec layer;
  layer.query_key_norm = QueryKeyNorm::per_head;
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = config.flag("attention_bias");
  layer.rope = read_rope(config, model);
  layer.activation = read_activation(config);
  describe_windows(config, model, layer);
}

}  // namespace

const Architecture kQwen2{"Qwen2ForCausalLM", "qwen2", describe_qwen2, kDecoderTensors};
const Architecture kQwen3{"Qwen3ForCausalLM", "qwen3", describe_qwen3, kDecoderTensors};

}  // namespace shardrift
