// How far apart the two runs are, by position in the sequence and by row of the record.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "analysis/report/payload.hpp"
#include "analysis/report/sampling.hpp"
#include "analysis/statistics/percentiles.hpp"

namespace shardrift::report {
namespace {

using analysis::Step;

struct Metric {
  const char* key;
  double (*of)(const Step&);
};

constexpr std::array<Metric, 6> kMetrics{{
    {"kl", [](const Step& step) { return step.kl; }},
    {"max_abs", [](const Step& step) { return step.max_abs; }},
    {"rms", [](const Step& step) { return step.rms; }},
    {"max_ulp", [](const Step& step) { return step.max_ulp; }},
    {"tv", [](const Step& step) { return step.tv; }},
    {"delta_p", [](const Step& step) { return std::abs(step.p_candidate - step.p_reference); }},
}};

struct Axis {
  const char* key;
  std::int64_t (*of)(const Step&);
};

constexpr std::array<Axis, 2> kAxes{{
    {"position", [](const Step& step) { return std::int64_t{step.position}; }},
    {"step", [](const Step& step) { return step.step; }},
}};

template <typename Visit>
void for_each_measured(const Report& report, Visit visit) {
  for (std::size_t run = 0; run < report.runs.size(); ++run)
    for (const auto& prompt : report.runs[run].measurement.prompts)
      for (const auto& step : prompt.steps)
        if (step.measured) visit(run, step);
}

Bins bins_of(const Report& report, const Axis& axis) {
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  std::int64_t last = std::numeric_limits<std::int64_t>::min();
  for_each_measured(report, [&](std::size_t, const Step& step) {
    first = std::min(first, axis.of(step));
    last = std::max(last, axis.of(step));
  });
  return first > last ? Bins(0, 0, 1) : Bins(first, last, kPositionBins);
}

// One metric of one run: 10th percentile, median and 90th percentile of every bin.
Json percentiles_json(std::vector<std::vector<double>>& bins) {
  Json low = Json::array();
  Json median = Json::array();
  Json high = Json::array();
  for (auto& values : bins) {
    values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return std::isnan(v); }),
                 values.end());
    std::sort(values.begin(), values.end());
    low.push_back(number(statistics::percentile_of_sorted(values, 0.1)));
    median.push_back(number(statistics::percentile_of_sorted(values, 0.5)));
    high.push_back(number(statistics::percentile_of_sorted(values, 0.9)));
  }
  return {{"low", low}, {"median", median}, {"high", high}};
}

Json axis_json(const Report& report, const Axis& axis) {
  const Bins bins = bins_of(report, axis);
  using Values = std::vector<std::vector<double>>;  // [bin]
  Json runs = Json::array();
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    std::array<Values, kMetrics.size()> values;
    for (auto& one : values) one.resize(bins.count());
    bool any = false;
    for (const auto& prompt : report.runs[run].measurement.prompts)
      for (const auto& step : prompt.steps) {
        if (!step.measured) continue;
        any = true;
        const std::size_t bin = bins.of(axis.of(step));
        for (std::size_t m = 0; m < kMetrics.size(); ++m) values[m][bin].push_back(kMetrics[m].of(step));
      }
    if (!any) continue;
    Json one = {{"run", run}};
    for (std::size_t m = 0; m < kMetrics.size(); ++m) one[kMetrics[m].key] = percentiles_json(values[m]);
    runs.push_back(std::move(one));
  }
  return {{"begin", bins.begin(0)}, {"width", bins.width()}, {"bins", bins.count()}, {"runs", runs}};
}

}  // namespace

Json positions_json(const Report& report) {
  Json json = Json::object();
  for (const auto& axis : kAxes) json[axis.key] = axis_json(report, axis);
  return json;
}

}  // namespace shardrift::report
