#include "parallel/plan/plan_json.hpp"

#include "common/error.hpp"
#include "common/field_json.hpp"
#include "parallel/plan/plan_fields.hpp"

namespace shardrift {

std::string plan_to_json(const Plan& plan) {
  auto object = fields_to_json(plan);
  for_each_field(plan, [&](const auto& row, const auto&) {
    if (!says_something(row, plan)) object.erase(std::string(row.key));
  });
  return object.dump();
}

Plan plan_from_json(const std::string& text) {
  try {
    Plan plan;
    read_fields(nlohmann::json::parse(text), plan);
    return plan;
  } catch (const std::exception& error) {
    throw bad_data("the recorded plan is not one this version understands: {}", error.what());
  }
}

}  // namespace shardrift
