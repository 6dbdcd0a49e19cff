// How far apart the two runs are, by row of the record, position in the sequence, prompt length.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "analysis/report/payload.hpp"
#include "analysis/report/sampling.hpp"
#include "analysis/statistics/percentiles.hpp"

namespace shardrift::report {
namespace {

using analysis::PromptMeasurement;
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
  bool prefill_only;
  std::int64_t (*of)(const PromptMeasurement&, const Step&);
};

// Tokens and positions are counted from 1. By prompt length: rows of the pass over the prompt only, whose
// kernels see that many rows.
constexpr std::array<Axis, 3> kAxes{{
    {"step", false, [](const PromptMeasurement&, const Step& step) { return step.step + 1; }},
    {"position", false,
     [](const PromptMeasurement&, const Step& step) { return std::int64_t{step.position} + 1; }},
    {"length", true, [](const PromptMeasurement& prompt, const Step&) { return prompt.prompt_tokens; }},
}};

// visit(place, step) for every row of a run that the axis shows.
template <typename Visit>
void for_each_row(const analysis::Measurement& measurement, const Axis& axis, Visit visit) {
  for (const auto& prompt : measurement.prompts)
    for (const auto& step : prompt.steps)
      if (step.measured && (!axis.prefill_only || step.phase == record::Phase::prefill))
        visit(axis.of(prompt, step), step);
}

// Where rows are drawn: each at its own place where there are few, else in bins of equal width.
class Places {
 public:
  Places(const Report& report, const Axis& axis) : bins_(0, 0, 1) {
    for (const auto& run : report.runs)
      for_each_row(run.measurement, axis, [&](std::int64_t place, const Step&) { own_[place] = 0; });
    if (own_.empty()) return;
    std::size_t next = 0;
    for (auto& [place, index] : own_) index = next++;
    single_ = own_.size() <= kPositionBins;
    if (!single_) bins_ = Bins(own_.begin()->first, own_.rbegin()->first, kPositionBins);
  }
  std::size_t count() const { return single_ ? own_.size() : bins_.count(); }
  std::size_t of(std::int64_t place) const { return single_ ? own_.at(place) : bins_.of(place); }
  std::int64_t width() const { return single_ ? 1 : bins_.width(); }
  // The middle of each, in order.
  Json middles() const {
    Json json = Json::array();
    if (single_)
      for (const auto& [place, index] : own_) json.push_back(place);
    else
      for (std::size_t bin = 0; bin < bins_.count(); ++bin)
        json.push_back(
            number(static_cast<double>(bins_.begin(bin)) + static_cast<double>(bins_.width() - 1) / 2));
    return json;
  }

 private:
  std::map<std::int64_t, std::size_t> own_;
  Bins bins_;
  bool single_ = true;
};

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
  const Places places(report, axis);
  using Values = std::vector<std::vector<double>>;  // [place]
  Json runs = Json::array();
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    std::array<Values, kMetrics.size()> values;
    for (auto& one : values) one.resize(places.count());
    bool any = false;
    for_each_row(report.runs[run].measurement, axis, [&](std::int64_t place, const Step& step) {
      any = true;
      for (std::size_t m = 0; m < kMetrics.size(); ++m)
        values[m][places.of(place)].push_back(kMetrics[m].of(step));
    });
    if (!any) continue;
    Json one = {{"run", run}};
    for (std::size_t m = 0; m < kMetrics.size(); ++m) one[kMetrics[m].key] = percentiles_json(values[m]);
    runs.push_back(std::move(one));
  }
  return {{"x", places.middles()}, {"width", places.width()}, {"runs", runs}};
}

}  // namespace

Json positions_json(const Report& report) {
  Json json = Json::object();
  for (const auto& axis : kAxes) json[axis.key] = axis_json(report, axis);
  return json;
}

}  // namespace shardrift::report
