#include "worker/bench_report.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include <nlohmann/json.hpp>

#include "common/text.hpp"
#include "common/text_columns.hpp"

namespace shardrift {
namespace {

constexpr double kGiga = 1e9;
constexpr double kMilli = 1e3;

std::string_view name_of(record::Phase phase) {
  return phase == record::Phase::decode ? "decode" : "prefill";
}

bool decodes(const BenchShape& shape) {
  return shape.phase == record::Phase::decode;
}

std::string milliseconds(double seconds) {
  return fmt::format("{:.3f}", kMilli * seconds);
}

// One row of the table: what it is, and its text for a shape.
struct Row {
  std::string head;
  std::function<std::string(const BenchShape&)> text;
};

std::vector<Row> rows_of(const BenchResult& result) {
  const auto phase = [](BenchPhase which) {
    return [which](const BenchShape& shape) { return milliseconds(shape.phases[which]); };
  };
  std::vector<Row> rows{
      {"tokens/s", [](const BenchShape& shape) { return fmt::format("{:.2f}", shape.tokens_per_second); }},
      {"ms", [](const BenchShape& shape) { return milliseconds(shape.seconds); }},
      {"GB/s read",
       [](const BenchShape& shape) {
         return decodes(shape) ? fmt::format("{:.1f}", shape.bytes_per_second() / kGiga) : std::string();
       }},
      {"share of the floor",
       [](const BenchShape& shape) {
         return decodes(shape) ? fmt::format("{:.1f}%", 100 * shape.floor_seconds / shape.seconds)
                               : std::string();
       }},
      {"alone, ms: products", phase(BenchPhase::products)},
      {"  attention", phase(BenchPhase::attention)},
      {"  other operations", phase(BenchPhase::other)},
      {"  collectives", phase(BenchPhase::collectives)}};
  if (result.stages) rows.push_back({"  between stages", phase(BenchPhase::stages)});
  rows.push_back(
      {"  pass - all these", [](const BenchShape& shape) { return milliseconds(shape.between()); }});
  rows.push_back(
      {"pass, all of it", [](const BenchShape& shape) { return milliseconds(shape.phases.pass); }});
  rows.push_back({"host: ms - pass",
                  [](const BenchShape& shape) { return milliseconds(shape.seconds - shape.phases.pass); }});
  rows.push_back({"ms / (products + collectives)", [](const BenchShape& shape) {
                    return fmt::format("{:.3f}", shape.seconds / shape.alone());
                  }});
  return rows;
}

nlohmann::ordered_json start_json(const std::vector<StartTime>& start) {
  auto json = nlohmann::ordered_json::object();
  for (const auto& [what, seconds] : start) json[what] = seconds;
  return json;
}

nlohmann::ordered_json shape_json(const BenchShape& shape) {
  nlohmann::ordered_json phases;
  for (const auto name : all_names<BenchPhase>())
    phases[std::string(name)] = kMilli * shape.phases[*from_name<BenchPhase>(name)];
  std::vector<double> repeats;
  for (const double seconds : shape.repeats) repeats.push_back(kMilli * seconds);
  nlohmann::ordered_json json{{"phase", name_of(shape.phase)},
                              {"length", shape.length},
                              {"tokens_per_s", shape.tokens_per_second},
                              {"ms", kMilli * shape.seconds},
                              {"repeats_ms", repeats},
                              {"captured", shape.captured},
                              {"alone_ms", phases},
                              {"pass_ms", kMilli * shape.phases.pass},
                              {"between_ms", kMilli * shape.between()},
                              {"host_ms", kMilli * (shape.seconds - shape.phases.pass)},
                              {"over_products_and_collectives", shape.seconds / shape.alone()},
                              {"weight_bytes", shape.weight_bytes}};
  if (decodes(shape)) {
    json["cache_bytes"] = shape.cache_bytes;
    json["GB_per_s"] = shape.bytes_per_second() / kGiga;
    json["floor_ms"] = kMilli * shape.floor_seconds;
    json["floor_share"] = shape.floor_seconds / shape.seconds;
  }
  return json;
}

}  // namespace

std::string BenchShape::name() const {
  return fmt::format("{}_{}", name_of(phase), length);
}

double BenchShape::between() const {
  return std::accumulate(phases.alone.begin(), phases.alone.end(), phases.pass, std::minus<>());
}

std::string bench_table(const BenchResult& result) {
  std::vector<TextColumns::Column> heads{{"", Align::left}};
  for (const auto& shape : result.shapes)
    heads.push_back({fmt::format("{} {}", name_of(shape.phase), shape.length), Align::right});
  TextColumns table(heads);
  for (const auto& row : rows_of(result)) {
    std::vector<std::string> cells{row.head};
    for (const auto& shape : result.shapes) cells.push_back(row.text(shape));
    table.add(cells);
  }
  auto text = fmt::format("{} on {}\n", result.plan, result.device);
  text += fmt::format(
      "memory: {:.1f} GB/s by a large matrix-vector product, {:.1f} GB/s by a plain copy or read\n",
      result.product_bandwidth / kGiga, result.copy_bandwidth / kGiga);
  if (!result.shapes.empty())
    text += fmt::format("weights: {} a pass", bytes_text(result.shapes.front().weight_bytes));
  if (std::any_of(result.shapes.begin(), result.shapes.end(), decodes))
    text += fmt::format("; {} tokens decoded after each context", result.tokens);
  if (!result.shapes.empty()) text += '\n';
  text += result.notes;
  text += "start, s:";
  for (const auto& [what, seconds] : result.start) text += fmt::format(" {} {:.2f},", what, seconds);
  text.back() = '\n';
  return text + "\n" + table.str();
}

std::string bench_line(const BenchResult& result) {
  auto line = fmt::format("result plan=\"{}\" load_s={:.1f} product_GB_per_s={:.1f} copy_GB_per_s={:.1f}",
                          result.plan, result.load_seconds, result.product_bandwidth / kGiga,
                          result.copy_bandwidth / kGiga);
  for (const auto& shape : result.shapes) {
    const auto add = [&](std::string_view key, const std::string& value) {
      line += fmt::format(" {}_{}={}", shape.name(), key, value);
    };
    add("tokens_per_s", fmt::format("{:.2f}", shape.tokens_per_second));
    add("ms", fmt::format("{:.4f}", kMilli * shape.seconds));
    if (decodes(shape)) {
      add("GB_per_s", fmt::format("{:.1f}", shape.bytes_per_second() / kGiga));
      add("floor_share", fmt::format("{:.3f}", shape.floor_seconds / shape.seconds));
    }
    for (const auto name : all_names<BenchPhase>())
      add(std::string(name) + "_ms",
          fmt::format("{:.4f}", kMilli * shape.phases[*from_name<BenchPhase>(name)]));
    add("pass_ms", fmt::format("{:.4f}", kMilli * shape.phases.pass));
    add("over_products_and_collectives", fmt::format("{:.3f}", shape.seconds / shape.alone()));
  }
  return line + "\n";
}

std::string bench_json(const BenchResult& result) {
  nlohmann::ordered_json json{{"plan", result.plan},
                              {"device", result.device},
                              {"version", result.version},
                              {"command", result.command},
                              {"notes", result.notes},
                              {"load_s", result.load_seconds},
                              {"product_GB_per_s", result.product_bandwidth / kGiga},
                              {"copy_GB_per_s", result.copy_bandwidth / kGiga},
                              {"start_s", start_json(result.start)},
                              {"decode_tokens", result.tokens},
                              {"shapes", nlohmann::ordered_json::array()}};
  for (const auto& shape : result.shapes) json["shapes"].push_back(shape_json(shape));
  // A path may hold any bytes.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace shardrift
