#include "weights/architectures/experts.hpp"

#include "common/json_file.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kMostExperts = 4096;  // of a layer

// Transformers' classes of these architectures do not look at such keys: a file that has them is another
// model's.
void refuse_other_routers(const JsonObject& config) {
  for (const char* key : {"scoring_func", "score_function", "scoring_function"})
    if (const auto* value = config.get(key); value != nullptr && *value != "softmax")
      throw config.wrong(key, *value, "this version's routers are softmax");
  for (const char* key : {"n_shared_experts", "num_shared_experts", "shared_expert_intermediate_size"})
    if (config.integer(key, 0, std::int64_t{1} << 28, 0) > 0)
      throw config.wrong(key, *config.get(key), "this version has no shared experts");
  for (const char* key : {"n_group", "topk_group"})
    if (config.integer(key, 0, std::int64_t{1} << 28, 0) > 1)
      throw config.wrong(key, *config.get(key), "this version chooses among all experts");
  if (config.get("routed_scaling_factor") != nullptr && config.number("routed_scaling_factor") != 1)
    throw config.wrong("routed_scaling_factor", *config.get("routed_scaling_factor"),
                       "this version does not scale the experts' sum");
}

// One number under several names.
std::int64_t read_one(const JsonObject& config, const char* key, const char* other, std::int64_t otherwise) {
  if (config.get(key) == nullptr) return config.size(other, otherwise);
  const auto value = config.size(key);
  if (config.size(other, value) != value)
    throw config.wrong(other, *config.get(other), fmt::format("{} is {}: remove one of the two", key, value));
  return value;
}

}  // namespace

ExpertsSpec read_experts(const JsonObject& config, const ExpertsDefaults& defaults) {
  refuse_other_routers(config);
  ExpertsSpec experts;
  experts.count = read_one(config, "num_local_experts", "num_experts", defaults.count);
  if (experts.count > kMostExperts)  // each has tensors of its own
    throw bad_data("{}: {} experts, at most {} are expected", config.where(), experts.count, kMostExperts);
  experts.active = read_one(config, "num_experts_per_tok", "experts_per_token", defaults.active);
  if (experts.active > experts.count)
    throw bad_data("{}: num_experts_per_tok is {}, but there are {} experts", config.where(), experts.active,
                   experts.count);
  return experts;
}

}  // namespace shardrift
