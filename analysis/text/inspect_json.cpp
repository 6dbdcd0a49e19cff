#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "analysis/measure/differences.hpp"
#include "analysis/measure/totals.hpp"
#include "analysis/text/inspect_report.hpp"
#include "common/csv.hpp"

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
  return {{"operation", collective.operation}, {"count", collective.count},
          {"dtype", collective.dtype},         {"ranks", collective.ranks},
          {"library", collective.library},     {"version", collective.version},
          {"algorithm", collective.algorithm}, {"protocol", collective.protocol},
          {"channels", collective.channels},   {"rings", collective.rings},
          {"source", collective.source},       {"segments", segments}};
}

Json environment_json(const record::Environment& environment) {
  Json devices = Json::array();
  for (const auto& device : environment.devices)
    devices.push_back({{"rank", device.rank},
                       {"host", device.host},
                       {"name", device.name},
                       {"uuid", device.uuid},
                       {"compute_capability", device.compute_capability},
                       {"driver", device.driver}});
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
  return {{"load_seconds", timing.load_seconds},
          {"prefill_seconds", timing.prefill_seconds},
          {"prefill_tokens", timing.prefill_tokens},
          {"decode_seconds", timing.decode_seconds},
          {"decode_tokens", timing.decode_tokens}};
}

Json prompt_json(const record::Reader& reader, const std::string& id) {
  const auto prompt = reader.prompt(id);
  Json hidden = nullptr;
  if (prompt.hidden.streams > 0)
    hidden = {{"streams", prompt.hidden.streams},
              {"width", prompt.hidden.width},
              {"dtype", std::string(name_of(prompt.hidden.dtype))}};
  return {{"id", id},
          {"text", prompt.prompt.text},
          {"tokens", prompt.prompt.tokens.size()},
          {"steps", prompt.rows.size()},
          {"stop", prompt.stop},
          {"device", prompt.device},
          {"replica", prompt.replica},
          {"logits", reader.has_logits(id)},
          {"top", prompt.top.k},
          {"hidden", hidden},
          {"checksums", prompt.checksums.empty() ? 0 : record::point_count(prompt.checksums.layers)},
          {"sha256", prompt.hash}};
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
  return dumped({{"schema", "shardrift inspect 1"},
                 {"path", reader.path().string()},
                 {"complete", reader.complete()},
                 {"created", run.created},
                 {"version", run.version},
                 {"command", run.command},
                 {"described", describe_plan(run)},
                 {"plan", Json::parse(run.plan, nullptr, false)},
                 {"mode", run.mode},
                 {"level", run.level},
                 {"logits_dtype", std::string(name_of(run.logits_dtype))},
                 {"timing", timing_json(reader.timing())},
                 {"model",
                  {{"architecture", run.model.architecture},
                   {"dtype", run.model.dtype},
                   {"quantization", run.model.quantization},
                   {"vocabulary", run.model.vocabulary},
                   {"token_strings", run.model.vocab.size()},
                   {"identity", run.model.identity}}},
                 {"environment", environment_json(run.environment)},
                 {"compared", kept_comparisons(reader.path())},
                 {"prompts", prompts}});
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

void write_inspect_csv(std::ostream& out, const record::Reader& reader) {
  out << "prompt,tokens,steps,stop,replica,logits,checksums,sha256,text\n";
  for (const auto& id : reader.prompt_ids()) {
    const auto prompt = reader.prompt(id);
    out << fmt::format("{},{},{},{},{},{},{},{},{}\n", csv_cell(id), prompt.prompt.tokens.size(),
                       prompt.rows.size(), prompt.stop, prompt.replica, reader.has_logits(id) ? 1 : 0,
                       prompt.checksums.empty() ? 0 : record::point_count(prompt.checksums.layers),
                       prompt.hash, csv_cell(prompt.prompt.text));
  }
}

}  // namespace shardrift::analysis
