// After how many tokens do prompts say something else? The curve, and every prompt in every run.
#include <algorithm>
#include <map>

#include "analysis/measure/totals.hpp"
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

namespace {

// cut, no_logits: no difference as far as compared. same_numbers: in two dtypes.
enum class Cell { differs, bit_equal, cut, no_logits, same_numbers };

Cell cell_of(const analysis::Measurement& measurement, const analysis::PromptMeasurement& prompt) {
  if (prompt.bit_equal) return Cell::bit_equal;
  if (prompt.differs) return Cell::differs;
  if (analysis::same_numbers(measurement, prompt)) return Cell::same_numbers;
  return prompt.has_logits ? Cell::cut : Cell::no_logits;
}

// How far a prompt's rows moved, and which was nearest to another token.
Json distance_json(const analysis::PromptMeasurement& prompt, std::int64_t vocabulary) {
  const auto totals = analysis::totals_of(prompt, vocabulary);
  const analysis::Step* far = nullptr;
  const analysis::Step* near = nullptr;
  for (const auto& step : prompt.steps) {
    if (!step.measured) continue;
    if (far == nullptr || step.max_abs > far->max_abs) far = &step;
    if (near == nullptr || step.margin_reference < near->margin_reference) near = &step;
  }
  return {totals.steps_differ,      number(totals.max_abs),         far->step,
          number(totals.mean_kl()), number(near->margin_reference), near->step};
}

}  // namespace

// {prompts: [id…], runs: [[cell…]…]}; a cell is null (not compared) or [row of the first flip or -1, Cell,
// rows compared], and where logits differ [rows that differ, max |Δlogit|, its row, mean KL, the
// reference's smallest margin, its row] after them.
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
      Json cell = {flip, static_cast<int>(cell_of(run.measurement, prompt)), prompt.steps.size()};
      const auto measured = std::any_of(prompt.steps.begin(), prompt.steps.end(),
                                        [](const analysis::Step& step) { return step.measured; });
      if (measured && !prompt.bit_equal && !analysis::same_numbers(run.measurement, prompt))
        for (auto& value : distance_json(prompt, run.measurement.reference.run.model.vocabulary))
          cell.push_back(std::move(value));
      cells[places[{prompt.index, prompt.id}]] = std::move(cell);
    }
    runs.push_back(cells);
  }
  return {{"prompts", prompts}, {"runs", runs}};
}

}  // namespace shardrift::report
