#include "analysis/report/payload.hpp"

#include <cmath>
#include <cstdlib>

#include "common/error.hpp"

namespace shardrift::report {
namespace {

// Of all intervals: the verdict's, where there is one.
double confidence_of(const Report& report) {
  return report.verdict ? report.verdict->thresholds.bootstrap.confidence
                        : statistics::BootstrapOptions().confidence;
}

}  // namespace

Json number(double value) {
  if (!std::isfinite(value)) return nullptr;
  const double rounded = std::strtod(fmt::format("{:.4g}", value).c_str(), nullptr);
  // Whole numbers without ".0": there are many, and the page's numbers have no types.
  if (rounded == std::floor(rounded) && std::abs(rounded) < 1e15) return static_cast<std::int64_t>(rounded);
  return rounded;
}

Json points_json(const std::vector<CurvePoint>& points) {
  Json list = Json::array();
  for (const auto& point : points) {
    Json one = {number(point.x), number(point.y)};
    if (!std::isnan(point.low)) {
      one.push_back(number(point.low));
      one.push_back(number(point.high));
    }
    list.push_back(std::move(one));
  }
  return list;
}

Json payload_of(const Report& report) {
  Json runs = Json::array();
  for (std::size_t i = 0; i < report.runs.size(); ++i) runs.push_back(run_json(report, i));
  return {{"schema", 1},
          {"title", report.title},
          {"version", report.version},
          {"command", report.command},
          {"created", report.created},
          {"reference", reference_json(report)},
          {"confidence", confidence_of(report)},
          {"verdict", verdict_json(report)},
          {"runs", runs},
          {"differences", differences_json(report)},
          {"survival", survival_json(report)},
          {"first", first_differences_json(report)},
          {"positions", positions_json(report)},
          {"margins", margins_json(report)},
          {"layers", layers_json(report)},
          {"orders", orders_json(report)},
          {"tokens", tokens_json(report)},
          {"notes", report.notes}};
}

}  // namespace shardrift::report
