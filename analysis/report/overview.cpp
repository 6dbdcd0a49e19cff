// The table of configurations, the answer above it, and what differs between the runs besides the plan.
#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/measure/totals.hpp"
#include "analysis/report/limit_words.hpp"
#include "analysis/report/payload.hpp"
#include "analysis/statistics/percentiles.hpp"

namespace shardrift::report {
namespace {

using analysis::RunSummary;

// Device names with how many there are: "4 x NVIDIA H200".
std::string devices_text(const RunSummary& run) {
  std::map<std::string, int> names;
  for (const auto& device : run.run.environment.devices) ++names[device.name];
  std::string text;
  for (const auto& [name, count] : names)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " x " + name;
  return text;
}

Json speed_json(double tokens, double seconds) {
  return seconds > 0 ? number(tokens / seconds) : Json(nullptr);
}

Json summary_json(const RunSummary& summary) {
  const auto& run = summary.run;
  return {
      {"name", summary.name},
      {"path", summary.path},
      {"plan", summary.plan},
      {"shards", summary.shards},
      {"complete", summary.complete},
      {"prompts", summary.prompts},
      {"dtype", run.model.dtype},
      {"quantization", run.model.quantization},
      {"logits_dtype", std::string(shardrift::name_of(run.logits_dtype))},
      {"mode", run.mode},
      {"ranks", run.environment.devices.size()},
      {"devices", devices_text(summary)},
      {"created", run.created},
      {"version", run.version},
      {"command", run.command},
      {"decode_speed", speed_json(static_cast<double>(summary.decode_tokens), summary.decode_seconds)},
      {"prefill_speed", speed_json(static_cast<double>(summary.prefill_tokens), summary.prefill_seconds)}};
}

// [value, low, high], or [value] without an interval.
Json estimate_json(const statistics::Estimate& estimate) {
  Json json = {number(estimate.value)};
  if (std::isfinite(estimate.interval.low) && std::isfinite(estimate.interval.high)) {
    json.push_back(number(estimate.interval.low));
    json.push_back(number(estimate.interval.high));
  }
  return json;
}

Json metric_json(const statistics::RunStatistics& statistics, const char* name) {
  const auto* metric = statistics.of(name);
  if (metric == nullptr) return nullptr;
  return {{"mean", estimate_json(metric->average)},
          {"p99", estimate_json(metric->p99)},
          {"max", number(metric->max)}};
}

Json ratio_json(const statistics::Ratio& ratio) {
  return estimate_json(ratio.ratio);
}

// What passes and repeats leave open of it.
Json cost_range_json(const verdict::Cost& cost) {
  if (!(cost.times_reference > 0)) return nullptr;
  return {number(cost.times_reference), number(cost.times.low), number(cost.times.high)};
}

// What the verdict says about one candidate.
Json judged_json(const verdict::Candidate& candidate, const verdict::Thresholds& thresholds) {
  Json criteria = Json::array();
  for (const auto& one : candidate.criteria)
    criteria.push_back({{"limit", one.limit.kind->name},
                        {"allowed", verdict::limit_text(one.limit, thresholds)},
                        {"state", name_of(one.state)},
                        {"reason", one.reason},
                        {"prompts_needed", one.prompts_needed ? Json(*one.prompts_needed) : Json(nullptr)}});
  Json yardsticks = Json::array();
  for (const auto& one : candidate.yardsticks) yardsticks.push_back(ratio_json(one));
  return {
      {"state", name_of(candidate.state)},
      {"reason", candidate.headline},
      {"criteria", criteria},
      {"excess_error", candidate.excess_error ? ratio_json(*candidate.excess_error) : Json(nullptr)},
      {"yardsticks", yardsticks},
      {"cost", candidate.cost.times_reference > 0 ? number(candidate.cost.times_reference) : Json(nullptr)},
      {"cost_range", cost_range_json(candidate.cost)},
      {"cost_unclear", candidate.cost.unclear},
      {"cost_unknown", candidate.cost.unknown},
      {"devices", candidate.cost.devices},  // of its plan, also where fewer predicted it; 0: not known
      {"not_comparable", candidate.not_comparable},
      {"remarks", candidate.remarks}};
}

}  // namespace

Json reference_json(const Report& report) {
  if (report.runs.empty()) return nullptr;
  const auto& reference = report.runs.front().measurement.reference;
  Json json = summary_json(reference);
  json["vocabulary"] = reference.run.model.vocabulary;
  json["identity"] = reference.run.model.identity;
  return json;
}

Json run_json(const Report& report, std::size_t run) {
  const auto& [measurement, role, statistics] = report.runs[run];
  const auto totals = analysis::totals_of(measurement);
  Json json = summary_json(measurement.candidate);
  json["role"] = name_of(role);
  json["equality"] = name_of(analysis::equality_of(measurement));
  const bool judged = report.verdict && run < report.verdict->candidates.size();
  json["verdict"] =
      judged ? judged_json(report.verdict->candidates[run], report.verdict->thresholds) : Json(nullptr);
  json["compared"] = statistics.prompts;
  json["missing"] = measurement.missing();
  json["prompts_bit_equal"] = statistics.prompts_bit_equal;
  std::int64_t same = 0;
  std::int64_t ties = 0;  // of the first differences
  std::vector<double> flips;
  for (const auto& prompt : measurement.prompts) {
    const auto* flip = analysis::flip_of(prompt);
    if (flip != nullptr) flips.push_back(static_cast<double>(flip->step));
    ties += flip != nullptr && flip->measured && flip->tied() ? 1 : 0;
    same += flip == nullptr ? 1 : 0;
  }
  json["prompts_same_text"] = same;
  json["steps"] = statistics.rows;
  json["steps_measured"] = statistics.rows_measured;
  json["steps_differ"] = statistics.rows_differ;
  json["same_choice"] = totals.top1_equal;
  json["flips"] = statistics.flips();
  json["tie_flips"] = verdict::ties_known(measurement) ? Json(statistics.flips_at_ties) : Json(nullptr);
  json["not_finite"] = totals.not_finite;
  for (const char* name : {"kl", "max_abs", "rms", "delta_p"}) json[name] = metric_json(statistics, name);
  json["without_value"] = totals.rows_without_value;
  json["first_ties"] = ties;
  json["flip_median"] = number(statistics::percentile(flips, 0.5));
  const auto first = analysis::first_flip(measurement);
  json["flip_first"] = first ? Json(analysis::flip_of(measurement.prompts[*first])->step) : Json(nullptr);
  json["flip_prompt"] = first ? measurement.prompts[*first].id : "";
  return json;
}

Json verdict_json(const Report& report) {
  if (!report.verdict) return nullptr;
  const auto& verdict = *report.verdict;
  Json ranking = Json::array();
  for (const auto& one : verdict.ranking)
    ranking.push_back({{"run", one.candidate}, {"why", in_words(one.why)}});
  Json limits = Json::array();
  for (const auto& limit : verdict.thresholds.limits)
    limits.push_back(verdict::limit_text(limit, verdict.thresholds));
  Json not_judged = Json::array();
  for (const auto& one : verdict.not_judged)
    not_judged.push_back({{"name", one.name}, {"plan", one.plan}, {"why", one.why}});
  return {{"state", name_of(verdict.state)},         {"not_judged", not_judged},
          {"thresholds", verdict.thresholds.source}, {"limits", limits},
          {"yardsticks", verdict.yardsticks},        {"ranking", ranking}};
}

Json differences_json(const Report& report) {
  struct Line {
    std::string what, reference;
    std::vector<std::pair<std::string, std::vector<std::size_t>>> values;  // value and the runs that have it
  };
  std::vector<Line> lines;
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    for (const auto& difference : report.runs[run].measurement.differences) {
      auto line = std::find_if(lines.begin(), lines.end(),
                               [&](const Line& one) { return one.what == difference.what; });
      if (line == lines.end()) line = lines.insert(line, {difference.what, difference.reference, {}});
      auto value = std::find_if(line->values.begin(), line->values.end(),
                                [&](const auto& one) { return one.first == difference.candidate; });
      if (value == line->values.end()) value = line->values.insert(value, {difference.candidate, {}});
      value->second.push_back(run);
    }
  }
  // Kinds stay in the order in which differences come: plan first.
  Json json = Json::array();
  for (const auto& line : lines) {
    Json values = Json::array();
    for (const auto& [value, runs] : line.values) values.push_back({{"value", value}, {"runs", runs}});
    json.push_back({{"what", line.what}, {"reference", line.reference}, {"values", values}});
  }
  return json;
}

}  // namespace shardrift::report
