#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/verdict/thresholds_json.hpp"
#include "analysis/verdict/verdict_presenters.hpp"

namespace shardrift::verdict {
namespace {

using Json = nlohmann::ordered_json;
using statistics::Estimate;

// JSON has no NaN and no infinity.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json estimate_json(const Estimate& estimate) {
  return {{"value", number(estimate.value)},
          {"low", number(estimate.interval.low)},
          {"high", number(estimate.interval.high)},
          {"interval", name_of(estimate.method)},
          {"prompts", estimate.prompts}};
}

Json ratio_json(const statistics::Ratio& ratio) {
  return {{"metric", ratio.metric},
          {"rows", ratio.rows},
          {"ratio", estimate_json(ratio.ratio)},
          {"candidate", estimate_json(ratio.numerator)},
          {"other", estimate_json(ratio.denominator)}};
}

Json survival_json(const statistics::Survival& survival) {
  Json points = Json::array();
  for (const auto& point : survival.points)
    points.push_back({{"tokens", point.tokens},
                      {"share", point.share},
                      {"low", point.interval.low},
                      {"high", point.interval.high},
                      {"at_risk", point.at_risk},
                      {"changed", point.changed},
                      {"cut", point.cut}});
  const auto median = survival.median();
  return {{"prompts", survival.prompts},
          {"changed", survival.changed},
          {"whole", survival.whole},
          {"longest", survival.longest},
          {"median", median ? Json(*median) : Json()},
          {"points", points}};
}

Json statistics_json(const Candidate& candidate) {
  const auto& s = candidate.statistics;
  const auto if_known = [&](Json value) { return candidate.facts.ties_known ? value : Json(); };
  // The largest of those that have a value is not the largest.
  const auto has_all = [&](const statistics::MetricStatistics& one) {
    return candidate.facts.without_value == 0 || one.rows == s.rows_measured;
  };
  Json metrics = Json::object();
  for (const auto& one : s.metrics)
    if (one.rows > 0)
      metrics[one.metric->name] = {{"unit", one.metric->unit},
                                   {"rows", one.rows},
                                   {"average", estimate_json(one.average)},
                                   {"p50", estimate_json(one.p50)},
                                   {"p90", estimate_json(one.p90)},
                                   {"p99", estimate_json(one.p99)},
                                   {"max", has_all(one) ? number(one.max) : Json()}};
  const bool bits = !candidate.facts.other_dtypes;
  return {{"prompts", s.prompts},
          {"prompts_bit_equal", bits ? Json(s.prompts_bit_equal) : Json()},
          {"prompts_same_numbers", candidate.facts.same_numbers},
          {"prompts_differ", s.prompts_differ},
          {"rows", s.rows},
          {"rows_measured", s.rows_measured},
          {"rows_differ", s.rows_differ},
          {"flips", s.flips()},
          {"clear_flips", if_known(s.clear_flips)},
          {"flips_at_ties", if_known(s.flips_at_ties)},
          {"ties", s.ties},
          {"flip_share", estimate_json(s.flip_share)},
          {"clear_flip_share", if_known(estimate_json(s.clear_flip_share))},
          {"flip_regret", estimate_json(s.flip_regret)},
          {"clear_flip_regret", if_known(estimate_json(s.clear_flip_regret))},
          {"metrics", metrics},
          {"survival", s.survival.prompts > 0 ? survival_json(s.survival) : Json()}};
}

Json law_json(const statistics::FlipLaw& law) {
  return {{"formula", law.formula()},
          {"shape", name_of(law.shape)},
          {"scale", law.scale},
          {"epsilon", law.epsilon},
          {"own", law.own},
          {"rows", law.rows},
          {"flips", law.flips},
          {"ties", law.ties},
          {"flips_at_ties", law.flips_at_ties},
          {"tie_flips", law.tie_flips}};
}

Json calibration_json(const statistics::Calibration& c) {
  Json bins = Json::array();
  for (const auto& bin : c.bins)
    bins.push_back({{"low", bin.low},
                    {"high", bin.high},
                    {"rows", bin.rows},
                    {"flips", bin.flips},
                    {"predicted", bin.predicted},
                    {"observed", bin.observed},
                    {"observed_low", bin.interval.low},
                    {"observed_high", bin.interval.high}});
  return {{"prompts", c.prompts},
          {"rows", c.rows},
          {"flips", c.flips},
          {"expected", c.expected},
          {"brier", c.brier},
          {"brier_base", c.brier_base},
          {"log_loss", c.log_loss},
          {"log_loss_base", c.log_loss_base},
          {"bins", bins}};
}

Json flips_json(const statistics::FlipPrediction& prediction) {
  Json margins = Json::array();
  for (const auto& bin : prediction.by_margin)
    margins.push_back({{"low", bin.low},
                       {"high", bin.high},
                       {"mean", bin.mean_margin},
                       {"rows", bin.rows},
                       {"flips", bin.flips},
                       {"observed_low", bin.interval.low},
                       {"observed_high", bin.interval.high}});
  Json points = Json::array();
  if (prediction.forecast)
    for (const auto& point : prediction.forecast->points)
      points.push_back({{"tokens", point.tokens},
                        {"share", number(point.identical.value)},
                        {"low", number(point.identical.interval.low)},
                        {"high", number(point.identical.interval.high)},
                        {"extrapolated", point.extrapolated}});
  return {{"law", law_json(prediction.law)},
          {"by_margin", margins},
          {"calibration", prediction.calibration ? calibration_json(*prediction.calibration) : Json()},
          {"forecast", prediction.forecast ? points : Json()}};
}

Json criterion_json(const Criterion& c) {
  return {{"limit", c.limit.kind->name},
          {"allowed", limit_json(c.limit)},
          {"state", name_of(c.state)},
          {"measured", estimate_json(c.estimate)},
          {"noise_floor", c.floor ? number(*c.floor) : Json()},
          {"reason", c.reason},
          {"prompts_needed", c.prompts_needed ? Json(*c.prompts_needed) : Json()}};
}

Json candidate_json(const Candidate& c, const std::vector<std::string>& yardsticks) {
  Json criteria = Json::array();
  for (const auto& criterion : c.criteria) criteria.push_back(criterion_json(criterion));
  Json beside = Json::array();
  for (std::size_t i = 0; i < c.yardsticks.size(); ++i)
    beside.push_back({{"name", yardsticks[i]},
                      {"kl", ratio_json(c.yardsticks[i])},
                      {"rms", ratio_json(c.yardsticks_rms[i])}});
  const auto known = [](double value) { return value > 0 ? Json(value) : Json(); };
  return {{"name", c.name},
          {"path", c.path},
          {"plan", c.plan},
          {"shards", c.shards},
          {"state", name_of(c.state)},
          {"headline", c.headline},
          {"outcome", c.outcome},
          {"distance", c.distance},
          {"first_differences",
           {{"prompts", c.facts.parted},
            {"measured", c.facts.parted_measured},
            {"at_ties", c.facts.parted_at_ties}}},
          {"bit_equal", c.facts.other_dtypes ? Json() : Json(c.bit_equal)},
          {"same_numbers", c.same_numbers},
          {"criteria", criteria},
          {"excess_error", c.excess_error ? ratio_json(*c.excess_error) : Json()},
          {"yardsticks", beside},
          {"divergence", number(c.divergence)},
          {"cost",
           {{"devices", c.cost.devices > 0 ? Json(c.cost.devices) : Json()},
            {"seconds_per_token", known(c.cost.seconds_per_token)},
            {"device_seconds_per_1000_tokens", known(c.cost.device_seconds_per_1000_tokens)},
            {"times_reference", known(c.cost.times_reference)},
            {"times_low", number(c.cost.times.low)},
            {"times_high", number(c.cost.times.high)},
            {"unclear", c.cost.unclear.empty() ? Json() : Json(c.cost.unclear)},
            {"unknown", c.cost.unknown.empty() ? Json() : Json(c.cost.unknown)}}},
          {"not_comparable", c.not_comparable},
          {"remarks", c.remarks},
          {"flip_law", c.flips ? flips_json(*c.flips) : Json()},
          {"statistics", statistics_json(c)}};
}

Json noise_json(const statistics::NoiseFloor& floor) {
  return {{"runs", floor.names},  {"prompts", floor.prompts},
          {"rows", floor.rows},   {"rows_differ", floor.rows_differ},
          {"flips", floor.flips}, {"zero_bits", floor.zero_bits}};
}

Json spread_json(const statistics::Spread& spread) {
  return {{"runs", spread.runs},
          {"prompts", spread.prompts},
          {"diverged", spread.diverged},
          {"divergence_index", estimate_json(spread.divergence_index)},
          {"top1_spread", estimate_json(spread.top1_spread)}};
}

}  // namespace

std::string verdict_json(const Verdict& verdict) {
  Json candidates = Json::array();
  for (const auto& candidate : verdict.candidates)
    candidates.push_back(candidate_json(candidate, verdict.yardsticks));
  Json ranking = Json::array();
  for (const auto& ranked : verdict.ranking)
    ranking.push_back({{"candidate", verdict.candidates[ranked.candidate].name}, {"why", ranked.why}});
  Json not_judged = Json::array();
  for (const auto& one : verdict.not_judged)
    not_judged.push_back({{"name", one.name}, {"plan", one.plan}, {"why", one.why}});
  const Json json{{"schema", "shardrift gate 2"},
                  {"state", name_of(verdict.state)},
                  {"answer", verdict.answer},
                  {"headline", verdict.headline},
                  {"paragraph", verdict.paragraph},
                  {"recommendation", verdict.recommendation},
                  {"power", verdict.power},
                  {"reference", verdict.reference},
                  {"thresholds", thresholds_json(verdict.thresholds)},
                  {"noise_floor", verdict.noise_floor ? noise_json(*verdict.noise_floor) : Json()},
                  {"spread", verdict.spread ? spread_json(*verdict.spread) : Json()},
                  {"ranking", ranking},
                  {"candidates", candidates},
                  {"not_judged", not_judged}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace shardrift::verdict
