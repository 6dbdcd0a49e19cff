#include <nlohmann/json.hpp>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/not_comparable.hpp"
#include "analysis/measure/routes.hpp"
#include "analysis/measure/totals.hpp"
#include "analysis/statistics/kl_report.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json totals_json(const Totals& totals) {
  Json json = {{"steps", totals.steps},
               {"top1_equal", totals.top1_equal},
               {"top1_agreement", totals.top1_agreement()},
               {"steps_measured", totals.steps_measured}};
  const bool measured = totals.steps_measured > 0;
  const auto put = [&](const char* key, auto value) { json[key] = measured ? Json(value) : Json(nullptr); };
  put("steps_differ", totals.steps_differ);
  put("elements", totals.elements);
  put("elements_differ", totals.elements_differ);
  put("not_finite", totals.not_finite);
  put("max_abs", totals.max_abs);
  put("mean_abs", totals.mean_abs());
  put("rms", totals.rms());
  put("max_ulp", totals.max_ulp);
  put("kl_mean", totals.mean_kl());
  put("kl_max", totals.max_kl);
  put("kl_reverse_mean", totals.mean_of(totals.sum_kl_reverse));
  put("js_mean", totals.mean_of(totals.sum_js));
  put("tv_mean", totals.mean_of(totals.sum_tv));
  put("max_abs_delta_p", totals.max_abs_delta_p);
  put("ties_reference", totals.ties_reference);
  put("max_regret", totals.max_regret);
  put("top_overlap_mean", totals.mean_of(static_cast<double>(totals.sum_top_overlap)));
  put("worst_rank", totals.worst_rank);
  put("ties_candidate", totals.ties_candidate);
  put("flips_at_ties", totals.flips_at_ties);
  return json;
}

// bits: false where the logits are of two dtypes.
Json prompt_json(const PromptMeasurement& prompt, std::int64_t vocabulary, bool bits) {
  Json json = {{"id", prompt.id},
               {"bit_equal", bits ? Json(prompt.bit_equal) : Json(nullptr)},
               {"differs", prompt.differs},
               {"reference_steps", prompt.reference_steps},
               {"candidate_steps", prompt.candidate_steps}};
  json.update(totals_json(totals_of(prompt, vocabulary)));
  json["first_flip"] = nullptr;
  if (const Step* flip = flip_of(prompt))
    json["first_flip"] = {{"step", flip->step},
                          {"position", flip->position},
                          {"reference", flip->chosen_reference},
                          {"candidate", flip->chosen_candidate},
                          {"margin", Json(flip->margin_reference)}};
  return json;
}

Json cell_json(const std::optional<TokenCell>& cell) {
  if (!cell) return nullptr;
  return {{"id", cell->id}, {"token", cell->text}, {"probability", or_null(cell->probability)}};
}

Json table_json(const std::optional<TokenTable>& table) {
  if (!table) return nullptr;
  Json rows = Json::array();
  for (const auto& row : table->rows)
    rows.push_back({{"step", row.step},
                    {"position", row.position},
                    {"reference", cell_json(row.reference)},
                    {"candidate", cell_json(row.candidate)},
                    {"here", row.here}});
  return {{"prompt", table->prompt}, {"rows", rows}};
}

Json distribution_json(const statistics::Distribution& d) {
  return {{"count", d.count}, {"without_value", d.without},
          {"mean", d.mean},   {"mean_error", d.mean_error},
          {"rms", d.rms},     {"min", d.min},
          {"p0.1", d.p0_1},   {"p1", d.p1},
          {"p5", d.p5},       {"p10", d.p10},
          {"p25", d.p25},     {"median", d.median},
          {"p75", d.p75},     {"p90", d.p90},
          {"p95", d.p95},     {"p99", d.p99},
          {"p99.9", d.p99_9}, {"max", d.max}};
}

Json report_json(const Measurement& measurement) {
  const auto report = statistics::kl_report(measurement);
  if (report.rows == 0) return nullptr;
  return {{"rows", report.rows},
          {"kl", distribution_json(report.kl)},
          {"delta_p", distribution_json(report.delta_p)},
          {"rms_delta_p_error", report.rms_delta_p_error},
          {"same_top_p", report.same_top_p},
          {"same_top_p_error", report.same_top_p_error},
          {"token_probability_error", report.token_probability_error}};
}

Json layer_routes_json(const LayerRoutes& layer, const RouteTotals& totals) {
  const std::int64_t weights = (totals.tokens - layer.flips) * totals.k;
  return {
      {"layer", layer.layer},
      {"flips", layer.flips},
      {"first_flip_position", layer.first_flip < 0 ? Json(nullptr) : Json(layer.first_flip)},
      {"max_drift", weights == 0 ? Json(nullptr) : Json(layer.max_drift)},
      {"mean_drift", weights == 0 ? Json(nullptr) : Json(layer.sum_drift / static_cast<double>(weights))}};
}

// Null where not both records have routes.
Json routes_json(const Measurement& measurement) {
  const auto totals = routes_of(measurement);
  if (!totals) return nullptr;
  Json layers = Json::array();
  for (const auto& layer : totals->layers) layers.push_back(layer_routes_json(layer, *totals));
  const auto share = [](std::int64_t part, std::int64_t whole) {
    return whole == 0 ? Json(nullptr) : Json(static_cast<double>(part) / static_cast<double>(whole));
  };
  Json first = nullptr;
  if (totals->first_flip)
    first = {{"prompt", totals->first_flip->prompt},
             {"position", totals->first_flip->position},
             {"layer", totals->first_flip->layer}};
  return {
      {"experts_per_token", totals->k},
      {"tokens", totals->tokens},
      {"tokens_flipped", totals->tokens_flipped},
      {"tokens_flipped_share", share(totals->tokens_flipped, totals->tokens)},
      {"pairs", totals->pairs()},
      {"pairs_flipped", totals->pairs_flipped()},
      {"pairs_flipped_share", share(totals->pairs_flipped(), totals->pairs())},
      {"first_flip", first},
      {"max_drift", totals->pairs() == totals->pairs_flipped() ? Json(nullptr) : Json(totals->max_drift())},
      {"mean_drift", totals->mean_drift()},
      {"layers", layers}};
}

// Every other number of a row, over all measured rows.
Json distributions_json(const Measurement& measurement) {
  if (totals_of(measurement).steps_measured == 0) return nullptr;
  Json json = Json::object();
  const auto put = [&](const char* name, double (*of)(const Step&)) {
    json[name] = distribution_json(statistics::distribution_of(measurement, of));
  };
  put("max_abs", [](const Step& step) { return step.max_abs; });
  put("mean_abs", [](const Step& step) { return step.mean_abs; });
  put("rms", [](const Step& step) { return step.rms; });
  put("max_ulp", [](const Step& step) { return step.max_ulp; });
  put("mean_ulp", [](const Step& step) { return step.mean_ulp; });
  put("kl_reverse", [](const Step& step) { return step.kl_reverse; });
  put("js", [](const Step& step) { return step.js; });
  put("tv", [](const Step& step) { return step.tv; });
  put("regret", [](const Step& step) { return step.regret; });
  put("margin_reference", [](const Step& step) { return step.margin_reference; });
  put("margin_candidate", [](const Step& step) { return step.margin_candidate; });
  put("top_overlap", [](const Step& step) { return static_cast<double>(step.top_overlap); });
  put("rank_of_choice", [](const Step& step) { return static_cast<double>(step.rank_of_choice); });
  return json;
}

Json comparison_json(const Comparison& comparison) {
  const Measurement& measurement = comparison.measurement;
  Json differences = Json::array();
  for (const auto& difference : measurement.differences)
    differences.push_back({{"what", difference.what},
                           {"reference", difference.reference},
                           {"candidate", difference.candidate}});
  Json prompts = Json::array();
  const bool bits = !in_other_dtypes(measurement);
  for (const auto& prompt : measurement.prompts)
    prompts.push_back(prompt_json(prompt, measurement.reference.run.model.vocabulary, bits));
  Json left_out = Json::array();
  for (const auto* list : {&measurement.left_out, &measurement.contradictory})
    for (const auto& one : *list) left_out.push_back({{"id", one.id}, {"why", one.why}});
  std::vector<std::string> missing = measurement.missing_in_candidate;
  missing.insert(missing.end(), measurement.missing_in_reference.begin(),
                 measurement.missing_in_reference.end());
  const auto first = first_flip(measurement);
  return {{"path", measurement.candidate.path},
          {"plan", measurement.candidate.plan},
          {"complete", measurement.candidate.complete},
          {"verdict", name_of(equality_of(measurement))},
          {"not_comparable", not_comparable(measurement)},
          {"differences", differences},
          {"missing", missing},
          {"missing_in_reference", measurement.missing_in_reference},
          {"missing_in_candidate", measurement.missing_in_candidate},
          {"left_out", left_out},
          {"prompts_compared", measurement.prompts.size()},
          {"prompts_bit_equal", bits ? Json(prompts_bit_equal(measurement)) : Json(nullptr)},
          {"first_flip_prompt", first ? Json(measurement.prompts[*first].id) : Json(nullptr)},
          {"totals", totals_json(totals_of(measurement))},
          {"kl_report", report_json(measurement)},
          {"distributions", distributions_json(measurement)},
          {"routes", routes_json(measurement)},
          {"prompts", prompts},
          {"token_table", table_json(comparison.table)}};
}

Json run_to_run_json(const statistics::RunToRun& run) {
  return {{"repeats", run.floor.names},           {"rows", run.floor.rows},
          {"rows_differ", run.floor.rows_differ}, {"flips", run.floor.flips},
          {"kl_floor", run.kl.floor.value},       {"kl_above", run.kl.excess.value}};
}

}  // namespace

std::string comparisons_json(const record::Reader& reference, const std::vector<Comparison>& comparisons) {
  Json candidates = Json::array();
  for (const auto& comparison : comparisons) {
    candidates.push_back(comparison_json(comparison));
    if (comparison.run_to_run) candidates.back()["run_to_run"] = run_to_run_json(*comparison.run_to_run);
  }
  const Json json = {{"schema", 1},
                     {"reference",
                      {{"path", reference.path().string()},
                       {"plan", describe_plan(reference.run())},
                       {"complete", reference.complete()},
                       {"mode", reference.run().mode},
                       {"logits_dtype", std::string(shardrift::name_of(reference.run().logits_dtype))},
                       {"model_identity", reference.run().model.identity}}},
                     {"candidates", candidates}};
  // Token strings may be any bytes: what is no UTF-8 becomes U+FFFD. NaN and infinities become null.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace shardrift::analysis
