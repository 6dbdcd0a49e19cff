#include "weights/describe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace shardrift {
namespace {

struct ScalingWords {
  std::string operator()(std::monostate) const { return {}; }
  std::string operator()(const RopeConfig::Linear& kind) const {
    return fmt::format(", linear factor {}", kind.factor);
  }
  std::string operator()(const RopeConfig::Dynamic& kind) const {
    return fmt::format(", dynamic NTK factor {} beyond {} tokens", kind.factor, kind.original_length);
  }
  std::string operator()(const RopeConfig::Yarn& kind) const {
    return fmt::format(", yarn factor {} of {} tokens", kind.factor, kind.original_length);
  }
  std::string operator()(const RopeConfig::Llama3& kind) const {
    return fmt::format(", llama3 factor {} of {} tokens", kind.factor, kind.original_max_position_embeddings);
  }
  std::string operator()(const RopeConfig::LongRope& kind) const {
    return fmt::format(", longrope, other factors beyond {} tokens", kind.original_length);
  }
};

void add(std::vector<std::string>& parts, bool has, std::string_view text) {
  if (has) parts.emplace_back(text);
}

std::string words_of(const ExpertsSpec& experts) {
  const auto* weights = experts.weights == RouteWeights::softmax ? "a softmax over all"
                        : experts.weights == RouteWeights::softmax_renormalized
                            ? "a softmax over all, renormalized"
                            : "a softmax over the chosen";
  return fmt::format("{} experts of {} columns, {} a token, weights {}{}", experts.count,
                     experts.intermediate, experts.active, weights,
                     experts.router_bias ? ", router bias" : "");
}

std::vector<std::string> parts_of(const LayerSpec& layer) {
  const BlockSpec& attention = layer[Block::attention];
  const BlockSpec& mlp = layer[Block::mlp];
  std::vector<std::string> parts;
  add(parts, !attention.norm_before && !mlp.norm_before, "no norms before the blocks");
  add(parts, attention.norm_after && mlp.norm_after, "norms after the blocks");
  add(parts, attention.input_bias, "query, key and value biases");
  add(parts, attention.output_bias, "attention output bias");
  add(parts, mlp.input_bias || mlp.output_bias, "MLP biases");
  add(parts, layer.query_key_norm == QueryKeyNorm::per_head, "norms of queries and keys, by head");
  add(parts, layer.query_key_norm == QueryKeyNorm::per_row, "norms of queries and keys, over all heads");
  add(parts, layer.sinks, "attention sinks");
  add(parts, layer.activation == Activation::gelu || layer.activation == Activation::gelu_tanh, "GELU");
  add(parts, layer.activation == Activation::clamped_swish,
      fmt::format("swish clamped at {:.6g}", layer.activation_limit));
  add(parts, layer.experts.count > 0, words_of(layer.experts));
  add(parts, layer.score_scale != 0, fmt::format("attention scale {:.6g}", layer.score_scale));
  add(parts, layer.score_softcap != 0, fmt::format("attention softcap {:.6g}", layer.score_softcap));
  add(parts, layer.residual_multiplier != 1,
      fmt::format("residual multiplier {:.6g}", layer.residual_multiplier));
  return parts;
}

}  // namespace

std::string describe(const RopeConfig& rope) {
  std::string text = fmt::format("theta {}{}", rope.theta, std::visit(ScalingWords(), rope.scaling));
  if (rope.rotated > 0) text += fmt::format(", {} elements of a head", rope.rotated);
  if (rope.attention_factor != 1) text += fmt::format(", attention factor {:.6g}", rope.attention_factor);
  return text;
}

std::vector<LayerKind> layer_kinds(const ModelConfig& config) {
  std::vector<LayerKind> kinds;
  std::vector<LayerSpec> specs;
  for (std::size_t i = 0; i < config.specs.size(); ++i) {
    const LayerSpec& spec = config.specs[i];
    const auto kind = static_cast<std::size_t>(std::find(specs.begin(), specs.end(), spec) - specs.begin());
    if (kind == specs.size()) {
      specs.push_back(spec);
      kinds.push_back({{}, spec.window, describe(spec.rope), parts_of(spec)});
    }
    kinds[kind].layers.push_back(static_cast<std::int64_t>(i));
  }
  return kinds;
}

std::string ranges_of(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += text.empty() ? "" : ", ";
    text += last == i ? fmt::format("{}", numbers[i]) : fmt::format("{}-{}", numbers[i], numbers[last]);
    i = last + 1;
  }
  return text;
}

std::vector<std::string> special_parts(const ModelConfig& config) {
  std::vector<std::string> parts;
  add(parts, !config.wrapper.empty(), fmt::format("the text part of a {}", config.wrapper));
  add(parts, config.tied_head, "the head is the embedding");
  add(parts, config.norm == NormKind::one_plus, "norms multiply by 1 + weight");
  add(parts, config.norm == NormKind::unrounded, "norms round once");
  add(parts, config.embedding_scale != 1, fmt::format("embedding scale {:.6g}", config.embedding_scale));
  add(parts, config.logits_divisor != 1, fmt::format("logits divided by {:.6g}", config.logits_divisor));
  add(parts, config.logits_softcap != 0, fmt::format("logits softcap {:.6g}", config.logits_softcap));
  return parts;
}

}  // namespace shardrift
