// Olmo2ForCausalLM and Olmo3ForCausalLM: no norms before the blocks but after them, and norms over the whole
// row of queries and of keys. OLMo 3 has sliding layers, whose rope is not scaled as that of its full ones
// is.
#include "weights/architectures/olmo2.hpp"

#include "weights/architectures/decoder.hpp"

namespace shardrift {
namespace {

// What both share, but rope and windows.
LayerSpec describe_common(const JsonObject& config, ModelConfig& model) {
  read_sizes(config, model);
  read_heads(config, model);
  model.norm = NormKind::unrounded;
  LayerSpec layer;
  for (const Block block : kBlocks) {
    layer[block].norm_before = false;
    layer[block].norm_after = true;
  }
  layer.query_key_norm = QueryKeyNorm::per_row;
  layer[Block::attention].input_bias = layer[Block::attention].output_bias = config.flag("attention_bias");
  layer.activation = read_activation(config);
  return layer;
}

void describe_olmo2(const JsonObject& given, ModelConfig& model) {
  const auto all = with_defaults(given, R"({"rms_norm_eps": 1e-5, "max_position_embeddings": 2048})");
  const JsonObject config(all, given.where());
  LayerSpec layer = describe_common(config, model);
  layer.rope = read_rope(config, model);
  model.specs.assign(static_cast<std::size_t>(model.layers), layer);
}

// Absent keys are those of transformers' Olmo3Config.
void describe_olmo3(const JsonObject& given, ModelConfig& model) {
  constexpr double kTheta = 5e5;
  const auto all =
      with_defaults(given, R"({"vocab_size": 50304, "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
    "sliding_window": 4096})");
  const JsonObject config(all, given.where());
  LayerSpec layer = describe_common(config, model);
  const LayerRopes ropes =
      read_layer_ropes(config, model, {.sliding = {.theta = kTheta}, .full = {.theta = kTheta}});
  // The one key of a file of transformers 4 is all layers' there; transformers 5 takes it for the full ones.
  if (const double theta = config.positive("rope_theta", ropes.sliding.theta); theta != ropes.sliding.theta)
    throw config.wrong("rope_theta", theta,
                       fmt::format("transformers 4 has it in all layers, 5 has {} in sliding ones: give "
                                   "rope_parameters of full_attention and of sliding_attention instead",
                                   ropes.sliding.theta));
  extend_context(ropes.full, model);
  for (const bool slides :
       read_layer_types(config, model, [](std::int64_t index) { return (index + 1) % 4 != 0; })) {
    layer.window = slides ? window_of_sliding_layer(config) : 0;
    layer.rope = slides ? ropes.sliding : ropes.full;
    model.specs.push_back(layer);
  }
}

}  // namespace

const Architecture kOlmo2{"Olmo2ForCausalLM", "olmo2", describe_olmo2, kFourNormTensors};
const Architecture kOlmo3{"Olmo3ForCausalLM", "olmo3", describe_olmo3, kFourNormTensors};

}  // namespace shardrift
