#include <nlohmann/json.hpp>

#include "analysis/inspect/model_inspection.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

Json described(const ModelInspection& model) {
  if (!model.config) return nullptr;
  const ModelConfig& config = *model.config;
  Json kinds = Json::array();
  for (const auto& kind : layer_kinds(config))
    kinds.push_back(
        {{"layers", kind.layers}, {"window", kind.window}, {"rope", kind.rope}, {"parts", kind.parts}});
  return {{"architecture", config.architecture},
          {"parameters", model.parameters},
          {"layers", config.layers},
          {"hidden", config.hidden},
          {"intermediate", config.intermediate},
          {"query_heads", config.query_heads},
          {"kv_heads", config.kv_heads},
          {"head_dim", config.head_dim},
          {"vocabulary", config.vocabulary},
          {"context", config.max_positions},
          {"dtype", std::string(name_of(config.dtype))},
          {"parts", special_parts(config)},
          {"layer_kinds", kinds}};
}

Json plan_json(const PlanMemory& one) {
  Json json = {{"plan", one.plan}, {"refused", one.refused}};
  if (one.refused.empty()) {
    json["weights"] = one.memory.weights;
    json["cache_per_token"] = one.cache_per_token;
    json["cache"] = one.memory.cache;
    json["buffers"] = one.memory.buffers;
    json["total"] = one.memory.total();
  }
  return json;
}

}  // namespace

std::string inspect_json(const ModelInspection& model) {
  Json stored = Json::array();
  for (const auto& [dtype, what] : model.stored)
    stored.push_back({{"dtype", dtype}, {"tensors", what.tensors}, {"bytes", what.bytes}});
  Json plans = Json::array();
  for (const auto& one : model.memory) plans.push_back(plan_json(one));
  const Json json = {{"schema", "shardrift inspect model 1"},
                     {"path", model.directory.string()},
                     {"will_run", model.will_run()},
                     {"problems", model.problems},
                     {"notes", model.notes},
                     {"model", described(model)},
                     {"stored", stored},
                     {"files_bytes", model.files_bytes},
                     {"quantization", model.quantization},
                     {"tokenizer", {{"file", model.tokenizer_file}, {"size", model.tokenizer_size}}},
                     {"memory",
                      {{"dtype", std::string(name_of(model.dtype))},
                       {"batch", model.batch},
                       {"max_length", model.max_length},
                       {"plans", plans}}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace shardrift::analysis
