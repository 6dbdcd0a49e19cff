// After how many tokens do prompts say something else? The curve, and every prompt in every run.
#include <map>

#include "analysis/report/payload.hpp"
#include "analysis/report/sampling.hpp"

namespace shardrift::report {

namespace {

// By the flip law of the run, to the length that the thresholds ask about.
Json forecast_json(const Report& report, std::size_t run) {
  Json list = Json::array();
  if (!report.verdict || run >= report.verdict->candidates.size()) return list;
  const auto& flips = report.verdict->candidates[run].flips;
  if (!flips || !flips->forecast) return list;
  const auto& points = flips->forecast->points;
  for (const std::size_t i : evenly(points.size(), kCurvePoints)) {
    const auto& share = points[i].identical;
    list.push_back({points[i].tokens, number(share.value), number(share.interval.low),
                    number(share.interval.high), points[i].extrapolated ? 1 : 0});
  }
  return list;
}

}  // namespace

// Points of the step function; the curve of a prompt that goes on for long is thinned.
Json survival_json(const Report& report) {
  Json json = Json::array();
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    const auto& points = report.runs[run].statistics.survival.points;
    if (points.empty()) continue;
    Json list = Json::array();
    for (const std::size_t i : evenly(points.size(), kCurvePoints))
      list.push_back({points[i].tokens, number(points[i].share), number(points[i].interval.low),
                      number(points[i].interval.high)});
    json.push_back({{"run", run}, {"measured", list}, {"predicted", forecast_json(report, run)}});
  }
  return json;
}

// {prompts: [id…], runs: [[cell…]…]}; a cell is null (not compared) or [row of the first flip or -1,
// 0 differs | 1 bit-equal | 2 equal as far as compared, rows compared].
Json first_differences_json(const Report& report) {
  std::map<std::pair<std::int64_t, std::string>, std::size_t> places;  // by index, then id
  for (const auto& run : report.runs)
    for (const auto& prompt : run.measurement.prompts) places[{prompt.index, prompt.id}] = 0;
  Json prompts = Json::array();
  for (auto& [key, place] : places) {
    place = prompts.size();
    prompts.push_back(key.second);
  }
  Json runs = Json::array();
  for (const auto& run : report.runs) {
    std::vector<Json> cells(places.size());
    for (const auto& prompt : run.measurement.prompts) {
      const std::int64_t flip = prompt.first_flip ? prompt.steps[*prompt.first_flip].step : -1;
      const int equal = prompt.bit_equal ? 1 : prompt.differs ? 0 : 2;
      cells[places[{prompt.index, prompt.id}]] = {flip, equal, prompt.steps.size()};
    }
    runs.push_back(cells);
  }
  return {{"prompts", prompts}, {"runs", runs}};
}

}  // namespace shardrift::report
