// The plan as JSON: what /attrs/plan of a record holds (docs/file-format.md).
#pragma once
#include <string>

#include "parallel/plan/plan.hpp"

namespace shardrift {

// One line, keys sorted, every field present but those that came later and say nothing (Since): equal plans
// give equal text, also those of older versions (it is hashed for resuming).
std::string plan_to_json(const Plan& plan);
// Throws bad_data naming the missing or wrong key. Unknown keys are ignored.
Plan plan_from_json(const std::string& text);

}  // namespace shardrift
