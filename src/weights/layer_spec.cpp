#include "weights/layer_spec.hpp"

namespace shardrift {

std::string not_computed(const LayerSpec& layer) {
  if (layer.experts > 0) return "mixtures of experts";
  return {};
}

}  // namespace shardrift
