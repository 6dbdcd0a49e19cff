#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "analysis/inspect/inspect_presenters.hpp"
#include "analysis/measure/differences.hpp"
#include "analysis/measure/totals.hpp"
#include "common/field_json.hpp"
#include "record/record_fields.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

std::string dumped(const Json& json) {
  // Prompts and token strings may be any bytes: what is no UTF-8 becomes U+FFFD.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json map_json(const std::map<std::string, std::string>& values) {
  Json json = Json::object();
  for (const auto& [key, value] : values) json[key] = value;
  return json;
}

Json collective_json(const record::CollectiveInfo& collective) {
  Json segments = Json::array();
  for (const auto& segment : collective.segments)
    segments.push_back({{"begin", segment.begin},
                        {"end", segment.end},
                        {"tree", collective.trees[static_cast<std::size_t>(segment.tree)]}});
  auto json = fields_to_json<Json>(collective);
  json["segments"] = segments;
  return json;
}

Json environment_json(const record::Environment& environment) {
  Json devices = Json::array();
  for (const auto& device : environment.devices) devices.push_back(fields_to_json<Json>(device));
  Json collectives = Json::array();
  for (const auto& collective : environment.collectives) collectives.push_back(collective_json(collective));
  return {{"devices", devices},
          {"libraries", map_json(environment.libraries)},
          {"settings", map_json(environment.settings)},
          {"variables", map_json(environment.variables)},
          {"topology", environment.topology},
          {"collectives", collectives}};
}

Json timing_json(const record::RunTiming& timing) {
  if (timing.prefill_tokens + timing.decode_tokens == 0) return nullptr;
  return fields_to_json<Json>(timing);
}

Json model_json(const record::ModelInfo& model) {
  auto json = fields_to_json<Json>(model);
  json["token_strings"] = model.vocab.size();
  return json;
}

Json prompt_json(const record::Reader& reader, const std::string& id) {
  const auto prompt = reader.prompt(id);
  Json hidden = nullptr;
  if (prompt.hidden.streams > 0)
    hidden = {{"streams", prompt.hidden.streams},
              {"width", prompt.hidden.width},
              {"dtype", std::string(name_of(prompt.hidden.dtype))}};
  Json routes = nullptr;
  if (!prompt.routes.empty())
    routes = {{"layers", prompt.routes.layers},
              {"positions", prompt.routes.positions},
              {"experts_per_token", prompt.routes.k}};
  return {{"id", id},
          {"text", prompt.prompt.text},
          {"tokens", prompt.prompt.tokens.size()},
          {"steps", prompt.rows.size()},
          {"stop", prompt.stop},
          {"device", prompt.device},
          {"replica", prompt.replica},
          {"prefilled_with", prompt.prefilled_with},
          {"decoded_with", prompt.decoded_with},
          {"logits", reader.has_logits(id)},
          {"top", prompt.top.k},
          {"hidden", hidden},
          {"checksums", prompt.checksums.empty() ? 0 : record::point_count(prompt.checksums.layers)},
          {"routes", routes},
          {"sha256", prompt.hash}};
}

// Another program's plan may be empty (null) or no JSON object (the text).
Json plan_value(const std::string& plan) {
  if (plan.empty()) return nullptr;
  auto json = Json::parse(plan, nullptr, false);
  return json.is_object() ? json : Json(plan);
}

Json side_json(const RunSummary& run, const record::Identity& identity) {
  return {{"path", run.path},
          {"plan", run.plan},
          {"created", run.run.created},
          {"bytes", identity.bytes},
          {"prompts", run.prompts},
          {"mode", run.run.mode},
          {"logits_dtype", std::string(name_of(run.run.logits_dtype))}};
}

}  // namespace

std::string inspect_json(const record::Reader& reader) {
  const record::RunInfo& run = reader.run();
  Json prompts = Json::array();
  for (const auto& id : reader.prompt_ids()) prompts.push_back(prompt_json(reader, id));
  Json json = {{"schema", "shardrift inspect 1"},
               {"path", reader.path().string()},
               {"complete", reader.complete()},
               {"described", describe_plan(run)}};
  json.update(fields_to_json<Json>(run));
  json["plan"] = plan_value(run.plan);
  json["timing"] = timing_json(reader.timing());
  json["model"] = model_json(run.model);
  json["environment"] = environment_json(run.environment);
  json["compared"] = kept_comparisons(reader.path());
  json["prompts"] = prompts;
  return dumped(json);
}

std::string inspect_json(const std::filesystem::path& path, const KeptMetrics& kept) {
  const auto totals = totals_of(kept.measurement);
  return dumped({{"schema", "shardrift inspect metrics 1"},
                 {"path", path.string()},
                 {"reference", side_json(kept.measurement.reference, kept.from.reference)},
                 {"candidate", side_json(kept.measurement.candidate, kept.from.candidate)},
                 {"prompts", kept.measurement.prompts.size()},
                 {"steps", totals.steps},
                 {"steps_measured", totals.steps_measured},
                 {"steps_differ", totals.steps_differ},
                 {"flips", totals.steps - totals.top1_equal}});
}

}  // namespace shardrift::analysis
