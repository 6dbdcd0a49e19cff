#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/near_ties/near_ties_presenters.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace

Json near_ties_json(const NearTies& ties) {
  auto messages = Json::array();
  for (const auto& sent : ties.messages) {
    Json one{{"count", sent.diff.count}, {"captured", sent.diff.captured}, {"rows", sent.rows}};
    one["known"] = sent.diff.known();
    if (sent.diff.known())
      one["elements"] = sent.diff.differs_throughout() ? sent.diff.count : sent.diff.elements();
    if (!sent.diff.unknown_to_a.empty()) one["unknown_to_a"] = sent.diff.unknown_to_a;
    if (!sent.diff.unknown_to_b.empty()) one["unknown_to_b"] = sent.diff.unknown_to_b;
    messages.push_back(std::move(one));
  }
  auto near = Json::array();
  for (const auto& one : ties.near)
    near.push_back({{"prompt", one.prompt},
                    {"step", one.step},
                    {"position", one.position},
                    {"chosen", one.chosen},
                    {"second", one.second < 0 ? Json() : Json(one.second)},
                    {"margin", number(one.margin)},
                    {"scale", number(one.scale)},
                    {"probability", number(one.probability)}});
  return {{"record", ties.record},       {"messages", std::move(messages)},
          {"rows", ties.rows},           {"reached", ties.reached},
          {"seldom", ties.seldom},       {"not_known", ties.not_known},
          {"mixture", ties.mixture},     {"reach", kReach},
          {"scale", number(ties.scale)}, {"expected", number(ties.expected)},
          {"near", std::move(near)}};
}

Json order_run_json(const OrderRun& run) {
  auto flips = Json::array();
  for (const auto& one : run.flips)
    flips.push_back({{"prompt", one.prompt},
                     {"step", one.step},
                     {"a", one.chosen_a},
                     {"b", one.chosen_b},
                     {"margin", number(one.margin)},
                     {"named", one.named}});
  Json json{{"a", run.a},
            {"b", run.b},
            {"rows", run.rows},
            {"rows_differ", run.rows_differ},
            {"rms", number(run.rms)},
            {"kl_mean", number(run.kl_mean)},
            {"measured_scale", number(run.measured_scale)},
            {"law", run.law.empty() ? Json() : Json(run.law)},
            {"flips", std::move(flips)},
            {"flips_named", run.named()}};
  json["rows_of_record"] = run.rows_of_record ? Json(*run.rows_of_record) : Json();
  return json;
}

}  // namespace shardrift::analysis
