#include "record/value_faults.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/dtype.hpp"
#include "common/json_file.hpp"
#include "common/text.hpp"

namespace shardrift::record {
namespace {

constexpr std::size_t kHexOfSha256 = 64;
constexpr std::array<std::string_view, 4> kStops{"eos", "length", "context", "given"};
// Of parallel/plan/plan.hpp, all 1 at least; an engine's plan is in its writer's words.
constexpr std::array kCounts{"shards", "tensor_parallel", "pipeline", "replicas", "batch"};

std::string fault_of_counts(const nlohmann::json& plan) {
  for (const auto* name : kCounts)
    if (const auto found = plan.find(name);
        found != plan.end() && !(found->is_number_integer() && *found >= 1))
      return fmt::format("has {} {}, which is no number from 1", name, shown(*found));
  return {};
}

}  // namespace

std::string fault_of_plan(const std::string& plan) {
  if (is_blank(plan)) return "is empty";
  const auto json = nlohmann::json::parse(plan, nullptr, false);
  if (json.is_discarded()) return "is no JSON: " + shown(plan);
  if (!json.is_object()) return "is " + shown(json) + ", no JSON object";
  const auto engine = json.find("engine");
  if (engine == json.end())
    return json.contains("shards") ? fault_of_counts(json)
                                   : "has no engine, and no shards as a plan of shardrift-run has";
  if (!engine->is_string()) return "names the engine " + shown(*engine) + ", which is no text";
  return is_blank(engine->get<std::string>()) ? "names an engine without a name" : "";
}

std::string fault_of_sha256(const std::string& hash) {
  const bool digits = hash.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (hash.empty() || (digits && hash.size() == kHexOfSha256)) return {};
  return "is " + shown(hash) + ", no SHA-256";
}

std::string fault_of_dtype(const std::string& dtype) {
  return dtype.empty() || from_name<DType>(dtype) ? "" : "is " + shown(dtype) + ", which is none";
}

std::string fault_of_stop(const std::string& stop) {
  if (stop.empty() || std::find(kStops.begin(), kStops.end(), stop) != kStops.end()) return {};
  return fmt::format("is {}, none of {}", shown(stop), fmt::join(kStops, ", "));
}

std::string fault_of_amount(double amount) {
  return std::isfinite(amount) && amount >= 0 ? "" : fmt::format("is {}", amount);
}

std::string fault_of_positions(const std::vector<std::int32_t>& positions, std::size_t tokens) {
  if (!positions.empty() && positions[0] >= 0 && static_cast<std::size_t>(positions[0]) >= tokens)
    return fmt::format(
        "begins at {}, but the prompt's {} tokens end at {}: what was fed between is not known", positions[0],
        tokens, static_cast<std::int64_t>(tokens) - 1);
  for (std::size_t i = 1; i < positions.size(); ++i)
    if (positions[i] > positions[i - 1] && positions[i] - positions[i - 1] != 1)
      return fmt::format("goes from {} to {} at row {}: what was fed between is not known", positions[i - 1],
                         positions[i], i);
  return {};
}

}  // namespace shardrift::record
