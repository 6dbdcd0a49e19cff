#include "parallel/plan/plan_json.hpp"

#include <nlohmann/json.hpp>

#include "common/error.hpp"

namespace shardrift {
using nlohmann::json;

std::string plan_to_json(const Plan& plan) {
  const json object = {
      {"shards", plan.shards},
      {"tensor_parallel", plan.tensor_parallel},
      {"pipeline", plan.pipeline},
      {"replicas", plan.replicas},
      {"stage_layers", plan.stage_layers},
      {"reduction", order_text(plan.reduction)},
      {"accumulate", name_of(plan.reduction.accumulator)},
      {"row_linear", name_of(plan.row_linear)},
      {"partial", name_of(plan.reduction.partial)},
      {"dtype", name_of(plan.dtype)},
      {"logits_dtype", name_of(plan.logits_dtype)},
      {"batch", plan.batch},
      {"device", name_of(plan.device)},
  };
  return object.dump();
}

Plan plan_from_json(const std::string& text) {
  try {
    const json object = json::parse(text);
    Plan plan;
    plan.shards = object.at("shards").get<int>();
    plan.tensor_parallel = object.at("tensor_parallel").get<int>();
    plan.pipeline = object.at("pipeline").get<int>();
    plan.replicas = object.at("replicas").get<int>();
    plan.stage_layers = object.at("stage_layers").get<std::vector<int>>();
    plan.reduction = reduction_from_text(object.at("reduction").get<std::string>());
    plan.reduction.partial = named<PartialDType>("--partial", object.at("partial").get<std::string>());
    plan.reduction.accumulator =
        named<Accumulator>("--accumulate", object.at("accumulate").get<std::string>());
    plan.row_linear = named<RowLinear>("--row-linear", object.at("row_linear").get<std::string>());
    plan.dtype = named<DType>("--dtype", object.at("dtype").get<std::string>());
    plan.logits_dtype = named<DType>("--logits-dtype", object.at("logits_dtype").get<std::string>());
    plan.batch = object.at("batch").get<int>();
    plan.device = named<Device>("--device", object.at("device").get<std::string>());
    return plan;
  } catch (const std::exception& error) {
    throw bad_data("the recorded plan is not one this version understands: {}", error.what());
  }
}

}  // namespace shardrift
