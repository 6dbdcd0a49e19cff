#include "analysis/statistics/flip_forecast.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "analysis/statistics/proportion.hpp"
#include "analysis/statistics/survival.hpp"

namespace shardrift::statistics {
namespace {

constexpr std::size_t kFolds = 5;
constexpr std::size_t kFewestPrompts = 10;
constexpr int kMostResamples = 200;  // each fits the law anew
constexpr double kTiny = 1e-300;

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

// How fast texts go on changing after the longest one compared: -log(1 - P) a token over the second half of
// each. Prompts differ, and those that change easily are the first to go: a gamma-distributed pace (J.
// Vaupel and others, Demography 16, 1979). Its variance is what the even and odd rows of a prompt have in
// common (their covariance over prompts), so that the chance of single rows is not taken for a difference.
class Pace {
 public:
  void add(const Text& text, double weight) {
    double sum[2] = {0, 0};
    double rows[2] = {0, 0};
    for (std::size_t i = text.hazard.size() / 2; i < text.hazard.size(); ++i) {
      sum[i % 2] -= std::log1p(-std::min(text.hazard[i], 1 - 1e-12));
      rows[i % 2] += 1;
    }
    if (rows[0] == 0 || rows[1] == 0) return;  // a text of one or two tokens
    weight_ += weight;
    even_ += weight * sum[0] / rows[0];
    odd_ += weight * sum[1] / rows[1];
    product_ += weight * sum[0] / rows[0] * sum[1] / rows[1];
  }
  // Share that is still identical `more` tokens later.
  double share(double more) const {
    if (weight_ == 0) return analysis::kNoValue;
    const double mean = (even_ + odd_) / (2 * weight_);
    const double variance = product_ / weight_ - even_ * odd_ / (weight_ * weight_);
    if (mean <= 0) return 1;
    if (variance <= 0) return std::exp(-mean * more);
    return std::pow(1 + variance / mean * more, -mean * mean / variance);
  }

 private:
  double weight_ = 0;
  double even_ = 0;
  double odd_ = 0;
  double product_ = 0;
};

// identical[k]: after lengths[k] tokens.
void run_course(const Course& course, const std::vector<Text>& texts, const std::vector<bool>& flipped,
                const Drawn& drawn, const std::vector<std::int64_t>& lengths,
                std::vector<double>& identical) {
  // How much of each prompt is at risk: times drawn; in follow runs times its predicted survival.
  std::vector<double> weight(texts.size());
  for (std::size_t j = 0; j < texts.size(); ++j) weight[j] = texts[j].hazard.empty() ? 0 : drawn[j];
  double share = 1;
  std::size_t k = 0;
  for (std::int64_t n = 1; n <= course.longest && k < lengths.size(); ++n) {
    double at_risk = 0;
    double flips = 0;
    for (std::size_t j = 0; j < texts.size(); ++j) {
      const auto rows = static_cast<std::int64_t>(texts[j].hazard.size());
      if (n > rows && !texts[j].whole) weight[j] = 0;  // changed (greedy) or cut
      if (weight[j] == 0) continue;
      const double p = n <= rows ? texts[j].hazard[static_cast<std::size_t>(n - 1)] : 0;
      at_risk += weight[j];
      flips += weight[j] * p;
      if (course.follow) weight[j] *= 1 - p;
    }
    if (at_risk > 0) share *= 1 - flips / at_risk;
    if (lengths[k] == n) identical[k++] = share;
  }
  if (k == lengths.size()) return;
  // Beyond: of those at risk after the longest text, some are over, the others go on.
  Pace pace;
  double over = 0;
  double going = 0;
  for (std::size_t j = 0; j < texts.size(); ++j) {
    const bool changed = !course.follow && flipped[j];
    const bool reaches = static_cast<std::int64_t>(texts[j].hazard.size()) == course.longest;
    if (changed || weight[j] == 0) continue;
    if (texts[j].whole) {
      over += weight[j];
    } else if (reaches) {
      going += weight[j];
      pace.add(texts[j], weight[j]);
    }
  }
  for (; k < lengths.size(); ++k) {
    const double still =
        going == 0 ? 0 : going * pace.share(static_cast<double>(lengths[k] - course.longest));
    identical[k] = !course.anything_cut ? share
                   : over + going > 0   ? share * (over + still) / (over + going)
                                        : analysis::kNoValue;
  }
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
  const auto curve = bootstrap_curve(
      static_cast<std::int64_t>(measurement.prompts.size()), lengths.size(),
      [&](const Drawn& drawn, std::vector<double>& identical) {
        const auto refitted = fitter.refit(law, drawn);
        if (!refitted) {
          std::fill(identical.begin(), identical.end(), analysis::kNoValue);
          return;
        }
        run_course(course, texts_of(measurement, rows, *refitted), flipped, drawn, lengths, identical);
      },
      limited);
  Forecast result;
  result.longest = course.longest;
  for (std::size_t k = 0; k < lengths.size(); ++k)
    result.points.push_back({lengths[k], curve[k], lengths[k] > course.longest && course.anything_cut});
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
  result.forecast = forecast(measurement, rows, *law, tokens, options);
  return result;
}

}  // namespace shardrift::statistics
