#include "analysis/statistics/flip_forecast.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "analysis/statistics/proportion.hpp"
#include "analysis/statistics/random.hpp"
#include "analysis/statistics/survival.hpp"

namespace shardrift::statistics {
namespace {

constexpr std::size_t kFolds = 5;
constexpr std::size_t kFewestPrompts = 10;
constexpr int kMostResamples = 200;  // each fits the law anew
constexpr double kTiny = 1e-300;
// Beyond the longest text: b of 14 real runs cut short (docs/results/coverage.md).
constexpr double kDecline = 1;
constexpr double kDeclineVaries = 0.5;

double log_loss(bool flipped, double p) {
  return flipped ? -std::log(std::max(p, kTiny)) : -std::log1p(-std::min(p, 1 - 1e-16));
}

void add_to_bin(std::vector<ReliabilityBin>& bins, double p, bool flipped) {
  auto& bin = *std::find_if(bins.begin(), bins.end(), [&](const ReliabilityBin& b) { return p <= b.high; });
  ++bin.rows;
  bin.flips += flipped ? 1 : 0;
  bin.predicted += p;
}

std::vector<ReliabilityBin> empty_bins() {
  static const std::vector<double> kEdges{0, 1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 1};
  std::vector<ReliabilityBin> bins;
  for (std::size_t i = 0; i + 1 < kEdges.size(); ++i) {
    ReliabilityBin bin;
    bin.low = kEdges[i];
    bin.high = kEdges[i + 1];
    bins.push_back(bin);
  }
  return bins;
}

// A prompt as the forecast sees it.
struct Text {
  std::vector<double> hazard;  // P(flip) of its rows, by token
  bool whole = false;          // all rows of a text that came to its own end: nothing can follow
};

std::vector<Text> texts_of(const analysis::Measurement& measurement, const std::vector<MarginRow>& rows,
                           const FlipLaw& law) {
  const bool follow = measurement.candidate.run.mode == "follow";
  std::vector<Text> texts(measurement.prompts.size());
  for (std::size_t j = 0; j < texts.size(); ++j) {
    const auto& prompt = measurement.prompts[j];
    texts[j].hazard.assign(prompt.steps.size(), 0);
    texts[j].whole = (follow || !prompt.first_flip) && prompt.reference_stop == "eos" &&
                     static_cast<std::int64_t>(prompt.steps.size()) == prompt.reference_steps;
  }
  for (const auto& row : rows)
    texts[row.prompt].hazard[static_cast<std::size_t>(row.token - 1)] = law.probability(row);
  return texts;
}

// Lengths to report: every token at first, then about 32 a doubling.
std::vector<std::int64_t> lengths_to(std::int64_t tokens, std::int64_t longest) {
  std::set<std::int64_t> lengths{tokens};
  for (std::int64_t n = 1; n <= tokens; n += std::max<std::int64_t>(1, n / 32)) lengths.insert(n);
  if (longest < tokens) lengths.insert(longest);
  return {lengths.begin(), lengths.end()};
}

struct Course {
  bool follow = false;
  std::int64_t longest = 0;
  bool anything_cut = false;  // else texts are over, and nothing changes beyond
};

Course course_of(const analysis::Measurement& measurement) {
  Course course;
  course.follow = measurement.candidate.run.mode == "follow";
  for (const auto& prompt : measurement.prompts)
    course.longest = std::max(course.longest, static_cast<std::int64_t>(prompt.steps.size()));
  for (const auto& life : lifetimes(measurement)) course.anything_cut |= life.end == End::cut;
  return course;
}

// The integral of t^-b from `from` to `to`: how the hazard of a falling rate adds up.
double falling(double from, double to, double b) {
  if (std::fabs(1 - b) < 1e-6) return std::log(to / from);
  return (std::pow(to, 1 - b) - std::pow(from, 1 - b)) / (1 - b);
}

// identical[k]: after lengths[k] tokens. decline: b of the hazard beyond the longest text.
void run_course(const Course& course, const std::vector<Text>& texts, const std::vector<bool>& flipped,
                const Drawn& drawn, const std::vector<std::int64_t>& lengths, double decline,
                std::vector<double>& identical) {
  // How much of each prompt is at risk: times drawn; in follow runs times its predicted survival.
  std::vector<double> weight(texts.size());
  for (std::size_t j = 0; j < texts.size(); ++j) weight[j] = texts[j].hazard.empty() ? 0 : drawn[j];
  double share = 1;
  double second_half = 0;  // hazard of texts that went on, summed over it
  std::size_t k = 0;
  for (std::int64_t n = 1; n <= course.longest && k < lengths.size(); ++n) {
    double at_risk = 0;
    double going = 0;  // of these, those whose text is not over
    double flips = 0;
    for (std::size_t j = 0; j < texts.size(); ++j) {
      const auto rows = static_cast<std::int64_t>(texts[j].hazard.size());
      if (n > rows && !texts[j].whole) weight[j] = 0;  // changed (greedy) or cut
      if (weight[j] == 0) continue;
      const double p = n <= rows ? texts[j].hazard[static_cast<std::size_t>(n - 1)] : 0;
      at_risk += weight[j];
      if (n <= rows) going += weight[j];
      flips += weight[j] * p;
      if (course.follow) weight[j] *= 1 - p;
    }
    if (at_risk > 0) share *= 1 - flips / at_risk;
    if (2 * n > course.longest && going > 0) second_half -= std::log1p(-std::min(flips / going, 1 - 1e-12));
    if (lengths[k] == n) identical[k++] = share;
  }
  if (k == lengths.size()) return;
  // Beyond: of those at risk after the longest text, some are over, the others go on.
  double over = 0;
  double going = 0;
  for (std::size_t j = 0; j < texts.size(); ++j) {
    const bool changed = !course.follow && flipped[j];
    const bool reaches = static_cast<std::int64_t>(texts[j].hazard.size()) == course.longest;
    if (changed || weight[j] == 0) continue;
    if (texts[j].whole)
      over += weight[j];
    else if (reaches)
      going += weight[j];
  }
  const auto longest = static_cast<double>(course.longest);
  const double seen = falling(longest / 2, longest, decline);
  for (; k < lengths.size(); ++k) {
    const double more = second_half * falling(longest, static_cast<double>(lengths[k]), decline) / seen;
    identical[k] = !course.anything_cut ? share
                   : over + going > 0   ? share * (over + going * std::exp(-more)) / (over + going)
                                        : analysis::kNoValue;
  }
}

// Few prompts: what was predicted cannot be surer than as many coins would be.
Interval widened(const Interval& interval, double share, std::int64_t prompts, double confidence) {
  const auto coins =
      exact_interval(share * static_cast<double>(prompts), static_cast<double>(prompts), confidence);
  if (std::isnan(interval.low)) return coins;
  return {std::min(interval.low, coins.low), std::max(interval.high, coins.high)};
}

}  // namespace

std::optional<Calibration> calibrate(const std::vector<MarginRow>& rows, std::size_t prompts,
                                     double confidence) {
  const FlipLawFitter fitter(rows);
  std::set<std::uint32_t> with_rows;
  for (const auto& row : rows) with_rows.insert(row.prompt);
  if (with_rows.size() < kFewestPrompts) return std::nullopt;
  Calibration result;
  result.prompts = static_cast<std::int64_t>(with_rows.size());
  auto bins = empty_bins();
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    Drawn drawn(prompts, 0);
    std::size_t place = 0;
    for (const auto prompt : with_rows) drawn[prompt] = place++ % kFolds == fold ? 0 : 1;
    const auto law = fitter.fit(drawn);
    if (!law || law->rows == 0) return std::nullopt;
    // As for ties: never exactly 0, or one flip would cost infinitely much.
    const double base = (static_cast<double>(law->flips) + 0.5) / (static_cast<double>(law->rows) + 1);
    for (const auto& row : rows) {
      if (row.tied || drawn[row.prompt] != 0) continue;
      const double p = law->probability(row);
      const double event = row.flipped ? 1 : 0;
      ++result.rows;
      result.flips += row.flipped ? 1 : 0;
      result.expected += p;
      result.brier += (p - event) * (p - event);
      result.brier_base += (base - event) * (base - event);
      result.log_loss += log_loss(row.flipped, p);
      result.log_loss_base += log_loss(row.flipped, base);
      add_to_bin(bins, p, row.flipped);
    }
  }
  if (result.rows == 0) return std::nullopt;
  for (double* sum : {&result.brier, &result.brier_base, &result.log_loss, &result.log_loss_base})
    *sum /= static_cast<double>(result.rows);
  for (auto& bin : bins) {
    if (bin.rows == 0) continue;
    bin.predicted /= static_cast<double>(bin.rows);
    const auto share = proportion(bin.flips, bin.rows, confidence);
    bin.observed = share.value;
    bin.interval = share.interval;
    result.bins.push_back(bin);
  }
  return result;
}

std::optional<Forecast> forecast(const analysis::Measurement& measurement, const std::vector<MarginRow>& rows,
                                 const FlipLaw& law, std::int64_t tokens, const BootstrapOptions& options) {
  if (!generates(measurement) || rows.empty()) return std::nullopt;
  const Course course = course_of(measurement);
  const FlipLawFitter fitter(rows);
  const auto lengths = lengths_to(tokens, course.longest);
  std::vector<bool> flipped;
  for (const auto& prompt : measurement.prompts) flipped.push_back(prompt.first_flip.has_value());
  BootstrapOptions limited = options;
  limited.resamples = std::min(options.resamples, kMostResamples);
  Random random(options.seed);
  bool first = true;  // the estimate itself; then resamples
  const auto prompts = static_cast<std::int64_t>(measurement.prompts.size());
  auto curve = bootstrap_curve(
      prompts, lengths.size(),
      [&](const Drawn& drawn, std::vector<double>& identical) {
        const double decline = first ? kDecline : kDecline + kDeclineVaries * random.normal();
        first = false;
        const auto refitted = fitter.refit(law, drawn);
        if (!refitted) {
          std::fill(identical.begin(), identical.end(), analysis::kNoValue);
          return;
        }
        run_course(course, texts_of(measurement, rows, *refitted), flipped, drawn, lengths, decline,
                   identical);
      },
      limited);
  const bool few = prompts < kEnoughPrompts;
  Forecast result;
  result.longest = course.longest;
  for (std::size_t k = 0; k < lengths.size(); ++k) {
    if (few && !std::isnan(curve[k].value)) {
      curve[k].interval = widened(curve[k].interval, curve[k].value, prompts, options.confidence);
      curve[k].method = IntervalMethod::percentile;
    }
    result.points.push_back(
        {lengths[k], curve[k], few || (lengths[k] > course.longest && course.anything_cut)});
  }
  return result;
}

std::optional<FlipPrediction> predict_flips(const analysis::Measurement& measurement, std::int64_t tokens,
                                            const BootstrapOptions& options) {
  const auto rows = margin_rows(measurement);
  const auto law = FlipLawFitter(rows).fit(Drawn(measurement.prompts.size(), 1));
  if (!law) return std::nullopt;
  FlipPrediction result;
  result.law = *law;
  result.by_margin = flips_by_margin(rows, options.confidence);
  result.calibration = calibrate(rows, measurement.prompts.size(), options.confidence);
  if (!result.calibration || !result.calibration->worse_than_base())
    result.forecast = forecast(measurement, rows, *law, tokens, options);
  return result;
}

}  // namespace shardrift::statistics
