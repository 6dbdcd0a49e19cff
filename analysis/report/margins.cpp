// A token flips where the reference was nearly undecided: margin against difference, and the flip law.
#include <algorithm>
#include <cmath>

#include "analysis/report/payload.hpp"
#include "analysis/report/sampling.hpp"

namespace shardrift::report {
namespace {

constexpr std::size_t kFlipsShown = 600;
constexpr std::size_t kLawPoints = 60;

struct Mark {
  double margin = 0;
  double max_abs = 0;
  bool tied = false;
  std::size_t prompt = 0;  // index into the measurement's prompts
  std::int64_t step = 0;
};

Json marks_json(const std::vector<Mark>& marks, std::size_t most, const analysis::Measurement& measurement,
                bool named) {
  Json json = Json::array();
  for (const std::size_t i : evenly(marks.size(), most)) {
    const Mark& mark = marks[i];
    Json one = {number(mark.margin), number(mark.max_abs)};
    if (named) {
      one.push_back(mark.tied ? 1 : 0);
      one.push_back(measurement.prompts[mark.prompt].id);
      one.push_back(mark.step);
    }
    json.push_back(std::move(one));
  }
  return json;
}

Json scatter_json(const Report& report, std::size_t run) {
  const auto& measurement = report.runs[run].measurement;
  std::vector<Mark> kept;
  std::vector<Mark> flips;
  for (std::size_t p = 0; p < measurement.prompts.size(); ++p)
    for (const auto& step : measurement.prompts[p].steps) {
      if (!step.measured || !step.differs()) continue;
      auto& list = step.flipped() ? flips : kept;
      list.push_back({step.margin_reference, step.max_abs, step.tied(), p, step.step});
    }
  const auto by_margin = [](const Mark& a, const Mark& b) { return a.margin < b.margin; };
  std::stable_sort(kept.begin(), kept.end(), by_margin);
  std::stable_sort(flips.begin(), flips.end(), by_margin);
  return {{"run", run},
          {"rows", kept.size() + flips.size()},
          {"kept", marks_json(kept, kScatterPoints, measurement, false)},
          {"flips", marks_json(flips, kFlipsShown, measurement, true)}};
}

// The law at the typical size of a row's difference, over the margins that were counted.
Json fitted_json(const statistics::FlipPrediction& flips) {
  Json points = Json::array();
  if (flips.by_margin.empty()) return points;
  const double from = std::max(flips.by_margin.front().mean_margin / 4, 1e-6);
  const double to = std::max(flips.by_margin.back().high, 2 * from);
  for (std::size_t i = 0; i <= kLawPoints; ++i) {
    const double margin = from * std::pow(to / from, static_cast<double>(i) / kLawPoints);
    points.push_back({number(margin), number(flips.law.probability(margin, flips.law.epsilon))});
  }
  return points;
}

Json law_json(std::size_t run, const statistics::FlipPrediction& flips) {
  Json observed = Json::array();
  for (const auto& bin : flips.by_margin)
    if (bin.rows > 0)
      observed.push_back({number(bin.mean_margin),
                          number(static_cast<double>(bin.flips) / static_cast<double>(bin.rows)),
                          number(bin.interval.low), number(bin.interval.high), bin.flips, bin.rows});
  Json json = {{"run", run},
               {"formula", flips.law.formula()},
               {"tie_flips", {flips.law.flips_at_ties, flips.law.ties}},
               {"observed", observed},
               {"fitted", fitted_json(flips)},
               {"calibration", Json::array()}};
  if (!flips.calibration) return json;
  const auto& calibration = *flips.calibration;
  for (const auto& bin : calibration.bins)
    json["calibration"].push_back({number(bin.predicted), number(bin.observed), number(bin.interval.low),
                                   number(bin.interval.high), bin.flips, bin.rows});
  json["held_out"] = {{"prompts", calibration.prompts},
                      {"flips", calibration.flips},
                      {"expected", number(calibration.expected)},
                      {"brier", number(calibration.brier)},
                      {"brier_base", number(calibration.brier_base)}};
  return json;
}

}  // namespace

Json margins_json(const Report& report) {
  Json scatter = Json::array();
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    Json one = scatter_json(report, run);
    if (one["rows"] != 0) scatter.push_back(std::move(one));
  }
  Json laws = Json::array();
  const std::size_t candidates = report.verdict ? report.verdict->candidates.size() : 0;
  for (std::size_t run = 0; run < candidates; ++run) {
    const auto& flips = report.verdict->candidates[run].flips;
    if (flips && flips->law.scale > 0) laws.push_back(law_json(run, *flips));
  }
  return {{"scatter", scatter}, {"laws", laws}};
}

}  // namespace shardrift::report
