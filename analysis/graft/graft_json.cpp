#include <cmath>
#include <nlohmann/json.hpp>

#include "analysis/graft/graft_presenters.hpp"
#include "common/json_file.hpp"
#include "common/json_reader.hpp"

namespace shardrift::analysis {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSchema = "shardrift graft 1";
constexpr std::size_t kMostBytes = 64U << 20U;
constexpr std::int64_t kMost = std::int64_t{1} << 60;

Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

Json json_of(const GraftDistance& distance) {
  return {{"rows", distance.rows},
          {"rows_differ", distance.rows_differ},
          {"elements_differ", distance.elements_differ},
          {"rows_moved", distance.rows_moved},
          {"flips", distance.flips},
          {"kl_mean", number(distance.kl_mean)},
          {"rms", number(distance.rms)}};
}

GraftDistance distance_of(const JsonObject& json) {
  GraftDistance distance;
  distance.rows = json.integer("rows", 0, kMost);
  distance.rows_differ = json.integer("rows_differ", 0, kMost);
  distance.elements_differ = json.integer("elements_differ", 0, kMost);
  distance.rows_moved = json.integer("rows_moved", 0, kMost);
  distance.flips = json.integer("flips", 0, kMost);
  distance.kl_mean = json.number("kl_mean", kNoValue);
  distance.rms = json.number("rms", kNoValue);
  return distance;
}

}  // namespace

std::string graft_json(const GraftTable& table) {
  Json json{{"schema", kSchema},
            {"operation", table.operation},
            {"reference", table.reference},
            {"candidate", table.candidate},
            {"model", table.model},
            {"mode", table.mode},
            {"prompts", table.prompts},
            {"vocabulary", table.vocabulary},
            {"plain", json_of(table.plain)}};
  auto& layers = json["layers"] = Json::array();
  for (const auto& one : table.layers) {
    Json line{{"layer", one.layer < 0 ? Json() : Json(one.layer)}};
    line.update(json_of(one.left));
    line["kl_taken"] = number(table.taken(one.left));
    line["flips_taken"] = table.plain.flips - one.left.flips;
    layers.push_back(std::move(line));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

GraftTable read_graft(const std::filesystem::path& path) {
  const auto parsed = parse_json_object(read_text_file(path, kMostBytes), path.string());
  const JsonObject json(parsed, path.string());
  if (const auto schema = json.text("schema"); schema != kSchema)
    throw json.wrong("schema", json.required("schema"), std::string("'") + kSchema + "' is expected");
  GraftTable table;
  table.operation = json.text("operation");
  table.reference = json.text("reference");
  table.candidate = json.text("candidate");
  table.model = json.text("model");
  table.mode = json.text("mode");
  table.prompts = json.integer("prompts", 0, kMost);
  table.vocabulary = json.integer("vocabulary", 0, kMost);
  table.plain = distance_of(json.required_object("plain"));
  for (const auto& layer : json.objects("layers"))
    table.layers.push_back({layer.integer("layer", 0, kMost, -1), distance_of(layer)});
  return table;
}

}  // namespace shardrift::analysis
