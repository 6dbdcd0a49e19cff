// How config.json spells a mixture of experts.
#pragma once
#include <cstdint>

#include "common/json_reader.hpp"
#include "weights/layer_spec.hpp"

namespace shardrift {

// The class's own, where config.json is silent.
struct ExpertsDefaults {
  std::int64_t count = 0;
  std::int64_t active = 0;
};
// count (num_local_experts or num_experts: transformers takes and writes either) and active
// (num_experts_per_tok). Refuses routers that no architecture here has: another scoring function, groups,
// shared experts.
ExpertsSpec read_experts(const JsonObject& config, const ExpertsDefaults& defaults);

}  // namespace shardrift
