#include <nlohmann/json.hpp>

#include "analysis/measure/totals.hpp"
#include "analysis/text/compare_report.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

const char* name_of(Equality equality) {
  return equality == Equality::bit_equal ? "bit-equal"
         : equality == Equality::differs ? "differs"
                                         : "inconclusive";
}

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
  put("kl_mean", totals.mean_kl());
  put("kl_max", totals.max_kl);
  put("max_abs_delta_p", totals.max_abs_delta_p);
  put("ties_reference", totals.ties_reference);
  put("ties_candidate", totals.ties_candidate);
  return json;
}

Json prompt_json(const PromptMeasurement& prompt, std::int64_t vocabulary) {
  Json json = {{"id", prompt.id},
               {"bit_equal", prompt.bit_equal},
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
                          {"margin", flip->measured ? Json(flip->margin_reference) : Json(nullptr)}};
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

Json section_json(const Section& section) {
  const Measurement& measurement = section.measurement;
  Json differences = Json::array();
  for (const auto& difference : measurement.differences)
    differences.push_back({{"what", difference.what},
                           {"reference", difference.reference},
                           {"candidate", difference.candidate}});
  Json prompts = Json::array();
  for (const auto& prompt : measurement.prompts)
    prompts.push_back(prompt_json(prompt, measurement.reference.run.model.vocabulary));
  const auto first = first_flip(measurement);
  return {{"path", measurement.candidate.path},
          {"plan", measurement.candidate.plan},
          {"complete", measurement.candidate.complete},
          {"verdict", name_of(equality_of(measurement))},
          {"differences", differences},
          {"missing", measurement.missing},
          {"prompts_compared", measurement.prompts.size()},
          {"prompts_bit_equal", prompts_bit_equal(measurement)},
          {"first_flip_prompt", first ? Json(measurement.prompts[*first].id) : Json(nullptr)},
          {"totals", totals_json(totals_of(measurement))},
          {"prompts", prompts},
          {"token_table", table_json(section.table)}};
}

}  // namespace

std::string to_json(const record::Reader& reference, const std::vector<Section>& sections) {
  Json candidates = Json::array();
  for (const auto& section : sections) candidates.push_back(section_json(section));
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
