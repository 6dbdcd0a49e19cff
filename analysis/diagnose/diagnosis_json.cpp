// The same for scripts. What has no finite value is null.
#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/diagnose/diagnosis_presenters.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json point_json(const record::Point& point) {
  return {{"operation", name_of(point.operation)},
          {"layer", record::in_layer(point.operation) ? Json(point.layer) : Json(nullptr)}};
}

Json drift_json(const StationDrift& drift) {
  Json json = point_json(drift.station.point);
  json["shard"] = drift.station.shard == kWholeRow ? Json(nullptr) : Json(drift.station.shard);
  json["rows"] = drift.rows;
  json["rows_differ"] = drift.rows_differ;
  json["rows_beyond"] = drift.rows_beyond;
  json["drift"] = or_null(drift.drift);
  json["rounding"] = or_null(drift.level);
  json["worst_excess"] = or_null(drift.worst);
  json["mean_excess"] = or_null(drift.mean);
  json["size"] = name_of(drift.size);
  return json;
}

Json departure_json(const std::optional<Departure>& departure) {
  if (!departure) return nullptr;
  Json json = point_json(departure->point);
  json["size"] = name_of(departure->size);
  json["shards"] = departure->shards;
  json["shards_compared"] = departure->shards_seen;
  return json;
}

Json side_json(const SideComparison& side) {
  Json json{{"side", name_of(side.side)},
            {"seen", name_of(side.seen)},
            {"rows", side.rows},
            {"rows_differ", side.rows_differ},
            {"elements_differ", side.elements_differ},
            {"band_runs", side.band},
            {"bit_equal", side.equal()},
            {"beyond", departure_json(side.beyond)},
            {"unclear", departure_json(side.unclear)},
            {"stations", Json::array()}};
  for (const auto& drift : side.drifts) json["stations"].push_back(drift_json(drift));
  return json;
}

Json defect_json(const std::optional<Defect>& defect, const Diagnosis& diagnosis) {
  if (!defect) return nullptr;
  Json json{{"side", name_of(defect->side)}, {"seen", name_of(diagnosis.find(defect->side)->seen)}};
  json.update(departure_json(defect->departure));
  json["ranks"] = defect->ranks;
  json["prompt"] = defect->row.prompt;
  json["step"] = defect->row.step;
  json["position"] = defect->row.position;
  return json;
}

Json run_to_run_json(const std::optional<statistics::RunToRun>& run) {
  if (!run) return nullptr;
  return {{"repeats", run->floor.names.size()},       {"rows", run->floor.rows},
          {"rows_differ", run->floor.rows_differ},    {"flips", run->floor.flips},
          {"zero_bits", run->floor.zero_bits},        {"kl", or_null(run->kl.candidate.value)},
          {"kl_floor", or_null(run->kl.floor.value)}, {"kl_above_floor", or_null(run->kl.excess.value)}};
}

Json repeats_json(const std::vector<RepeatDrift>& repeats) {
  Json json = Json::array();
  for (const auto& repeat : repeats)
    json.push_back({{"path", repeat.path},
                    {"size", name_of(repeat.size)},
                    {"worst", or_null(repeat.worst)},
                    {"mean", or_null(repeat.mean)}});
  return json;
}

}  // namespace

std::string diagnosis_json(const Diagnosis& diagnosis) {
  Json json{{"schema", "shardrift diagnose 1"},
            {"finding", name_of(diagnosis.finding)},
            {"reference", {{"path", diagnosis.reference.path}, {"plan", diagnosis.reference.plan}}},
            {"candidate", {{"path", diagnosis.candidate.path}, {"plan", diagnosis.candidate.plan}}},
            {"other_weights", diagnosis.other_weights},
            {"defect", defect_json(diagnosis.defect, diagnosis)},
            {"why", diagnosis.why},
            {"to_record", diagnosis.to_record},
            {"run_to_run", run_to_run_json(diagnosis.run_to_run)},
            {"repeats", repeats_json(diagnosis.repeats)},
            {"thresholds",
             {{"row_noise", kRowNoise},
              {"row_defect", kRowDefect},
              {"mean_noise", kMeanNoise},
              {"mean_noise_of_logits", kMeanNoiseOfLogits},
              {"mean_defect", kMeanDefect}}},
            {"runs", Json::array()},
            {"sides", Json::array()}};
  for (const auto& run : diagnosis.runs)
    json["runs"].push_back({{"name", run.name}, {"role", name_of(run.role)}, {"plan", describe(run.plan)}});
  for (const auto& side : diagnosis.sides) json["sides"].push_back(side_json(side));
  return json.dump(2) + "\n";
}

}  // namespace shardrift::analysis
