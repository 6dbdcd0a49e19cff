// The same for scripts. NaN is null.
#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/explain/explain_presenters.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json run_json(const RunSummary& run) {
  return {{"path", run.path}, {"plan", run.plan}, {"shards", run.shards}, {"complete", run.complete}};
}

Json point_json(const record::Point& point) {
  return {{"operation", name_of(point.operation)},
          {"layer", record::in_layer(point.operation) ? Json(point.layer) : Json(nullptr)}};
}

Json first_json(const std::optional<FirstDifference>& first) {
  if (!first) return nullptr;
  Json json = point_json(first->point);
  json["prompt"] = first->prompt;
  json["step"] = first->step;
  json["position"] = first->position;
  return json;
}

Json group_json(const RowGroup& group) {
  return {{"prompts", group.prompts},
          {"rows", group.rows},
          {"rows_bit_equal", group.rows_bit_equal},
          {"rms", or_null(group.rms)},
          {"max_abs", or_null(group.max_abs)},
          {"kl_mean", or_null(group.kl_mean)},
          {"flips", group.flips}};
}

Json positions_json(const std::vector<RowGroup>& groups) {
  Json list = Json::array();
  for (const auto& group : groups) {
    list.push_back({{"position", group.begin}});
    list.back().update(group_json(group));
  }
  return list;
}

Json ranges_json(const std::vector<RowGroup>& groups) {
  Json list = Json::array();
  for (const auto& group : groups) {
    list.push_back({{"begin", group.begin}, {"end", group.end}});
    list.back().update(group_json(group));
  }
  return list;
}

Json lengths_json(const std::vector<RowGroup>& groups) {
  Json list = Json::array();
  for (const auto& group : groups) {
    list.push_back({{"tokens", group.begin}});
    list.back().update(group_json(group));
    list.back()["first_difference"] = first_json(group.first);
  }
  return list;
}

Json changes_json(const std::vector<LengthChange>& changes) {
  Json list = Json::array();
  for (const auto& change : changes)
    list.push_back({{"shorter", change.shorter},
                    {"longer", change.longer},
                    {"rows", change.rows},
                    {"rows_differ", change.rows_differ},
                    {"first", change.first ? point_json(*change.first) : Json(nullptr)}});
  return list;
}

Json difference_json(const LogitDifference& difference) {
  return {{"rows_differ", difference.rows_differ},
          {"elements_differ", difference.elements_differ},
          {"bits", difference.bits},
          {"rms", or_null(difference.rms)},
          {"kl_mean", or_null(difference.kl_mean)},
          {"flips", difference.flips}};
}

}  // namespace

std::string explanation_json(const Explanation& explanation) {
  Json operations = Json::array();
  for (const auto& operation : explanation.operations) {
    if (operation.rows == 0) continue;
    Json one = point_json(operation.point);
    one.update({{"rows", operation.rows},
                {"rows_differ", operation.rows_differ},
                {"first_here", operation.first_here}});
    operations.push_back(std::move(one));
  }
  Json streams = Json::array();
  for (const auto& growth : explanation.streams)
    streams.push_back({{"layer", growth.stream == 0 ? Json(nullptr) : Json(growth.stream - 1)},
                       {"rows", growth.rows},
                       {"rows_differ", growth.rows_differ},
                       {"elements", growth.elements},
                       {"elements_differ", growth.elements_differ},
                       {"rms_reference", growth.rms_reference},
                       {"rms_difference", growth.rms_difference},
                       {"relative", or_null(growth.relative())},
                       {"row_median", or_null(growth.row_median)},
                       {"row_low", or_null(growth.row_low)},
                       {"row_high", or_null(growth.row_high)}});
  const Json json = {
      {"schema", "shardrift explain 1"},
      {"reference", run_json(explanation.reference)},
      {"candidate", run_json(explanation.candidate)},
      {"not_comparable", explanation.not_comparable},
      {"first_difference", first_json(explanation.first)},
      {"first_stream", explanation.first_stream() ? Json(*explanation.first_stream()) : Json(nullptr)},
      {"partials_compared", explanation.partials_compared},
      {"operations", std::move(operations)},
      {"layers", std::move(streams)},
      {"positions", positions_json(explanation.positions)},
      {"position_ranges", ranges_json(explanation.ranges)},
      {"prompt_lengths", lengths_json(explanation.prompt_lengths)},
      {"reference_lengths", changes_json(explanation.reference_lengths)},
      {"candidate_lengths", changes_json(explanation.candidate_lengths)},
      {"notes", explanation.notes}};
  return json.dump(1) + "\n";
}

std::string ladder_json(const Ladder& ladder) {
  Json rungs = Json::array();
  for (std::size_t i = 0; i < ladder.rungs.size(); ++i) {
    const auto& rung = ladder.rungs[i];
    Json one = {{"name", rung.name},
                {"kind", rung.kind ? Json(name_of(*rung.kind)) : Json(nullptr)},
                {"run", run_json(rung.run)}};
    if (i > 0)
      one.update({{"step", difference_json(rung.step)},
                  {"total", difference_json(rung.total)},
                  {"share", or_null(rung.share)},
                  {"first_difference", first_json(rung.first)}});
    rungs.push_back(std::move(one));
  }
  const LogitDifference* residue = ladder.residue();
  Json json = {{"schema", "shardrift explain ladder 1"},
               {"prompts", ladder.prompts},
               {"rows", ladder.rows},
               {"elements", ladder.elements},
               {"rungs", std::move(rungs)},
               {"additivity", or_null(ladder.additivity)},
               {"residue", residue != nullptr ? difference_json(*residue) : Json(nullptr)},
               {"complete", residue != nullptr ? Json(residue->bits == 0) : Json(nullptr)},
               {"notes", ladder.notes}};
  if (const auto& repeats = ladder.repeats)
    json["run_to_run"] = {{"repeats", repeats->names},
                          {"rows", repeats->rows},
                          {"rows_differ", repeats->rows_differ},
                          {"largest", difference_json(repeats->largest)},
                          {"rms_above", or_null(repeats->rms_above)},
                          {"kl_above", or_null(repeats->kl_above)}};
  return json.dump(1) + "\n";
}

}  // namespace shardrift::analysis
