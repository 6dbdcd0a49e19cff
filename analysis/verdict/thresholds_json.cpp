#include "analysis/verdict/thresholds_json.hpp"

#include <algorithm>
#include <limits>

namespace shardrift::verdict {
namespace {

constexpr std::int64_t kMany = 1000000000;

double number_in(const JsonObject& object, const char* key, double lowest, double highest) {
  const double value = object.number(key);
  if (!(value >= lowest && value <= highest))
    throw object.wrong(key, object.required(key),
                       fmt::format("a number from {} to {} is expected", lowest, highest));
  return value;
}

}  // namespace

nlohmann::ordered_json limit_json(const Limit& limit) {
  return limit.kind->unit == Unit::none ? nlohmann::ordered_json(true) : nlohmann::ordered_json(limit.value);
}

nlohmann::ordered_json thresholds_json(const Thresholds& t) {
  auto limits = nlohmann::ordered_json::object();
  for (const auto& limit : t.limits) limits[limit.kind->name] = limit_json(limit);
  return {{"source", t.source},
          {"limits", limits},
          {"prompts", t.prompts},
          {"tokens", t.tokens},
          {"confidence", t.bootstrap.confidence},
          {"resamples", t.bootstrap.resamples},
          {"seed", t.bootstrap.seed},
          {"cost_slack", t.cost_slack}};
}

Thresholds thresholds_from_json(const JsonObject& object) {
  Thresholds t;
  t.source = object.text("source");
  const auto limits = object.required_object("limits");
  for (const auto& kind : limit_kinds()) {
    if (!limits.has(kind.name)) continue;
    Limit limit{&kind, 0};
    if (kind.unit != Unit::none)
      limit.value = number_in(limits, kind.name, 0, kind.highest);
    else if (!limits.flag(kind.name))
      throw limits.wrong(kind.name, limits.required(kind.name), "true is expected");
    t.limits.push_back(limit);
  }
  limits.done();
  if (t.limits.empty()) throw object.wrong("limits", object.required("limits"), "at least one is expected");
  t.prompts = object.integer("prompts", 1, kMany);
  t.tokens = object.integer("tokens", 1, kMany);
  t.bootstrap.confidence = number_in(object, "confidence", 0.5, 0.9999);
  t.bootstrap.resamples = static_cast<int>(object.integer("resamples", 1, 1000000));
  t.bootstrap.seed =
      static_cast<std::uint64_t>(object.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  t.cost_slack = number_in(object, "cost_slack", 1, 1000);
  object.done();
  return t;
}

}  // namespace shardrift::verdict
