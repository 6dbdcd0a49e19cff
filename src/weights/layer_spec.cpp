#include "weights/layer_spec.hpp"

namespace shardrift {

std::string not_computed(const LayerSpec& layer) {
  if (layer.query_key_norm != QueryKeyNorm::none) return "norms of queries and keys";
  if (layer.experts > 0) return "mixtures of experts";
  if (layer.score_scale != 0) return "an attention scale of its own";
  if (layer.residual_multiplier != 1) return "a multiplier of the blocks' sums";
  return {};
}

}  // namespace shardrift
