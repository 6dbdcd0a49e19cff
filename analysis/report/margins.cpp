// A token flips where the reference was nearly undecided: margin against difference, and the flip law.
#include <algorithm>

#include "analysis/report/payload.hpp"
#include "analysis/report/sampling.hpp"

namespace shardrift::report {
namespace {

constexpr std::size_t kFlipsShown = 600;

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
      if (!step.measured || step.bit_equal) continue;
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

}  // namespace

Json margins_json(const Report& report) {
  Json scatter = Json::array();
  for (std::size_t run = 0; run < report.runs.size(); ++run) {
    Json one = scatter_json(report, run);
    if (one["rows"] != 0) scatter.push_back(std::move(one));
  }
  Json laws = Json::array();
  for (const auto& law : report.flip_laws)
    laws.push_back({{"run", law.run},
                    {"formula", law.formula},
                    {"observed", points_json(law.observed)},
                    {"fitted", points_json(law.fitted)},
                    {"calibration", points_json(law.calibration)}});
  return {{"scatter", scatter}, {"laws", laws}};
}

}  // namespace shardrift::report
