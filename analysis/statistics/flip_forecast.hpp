// The flip law put to the test on prompts it has not seen, and to use: how many prompts change by a length.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "analysis/measure/measurement.hpp"
#include "analysis/statistics/bootstrap.hpp"
#include "analysis/statistics/flip_law.hpp"

namespace shardrift::statistics {

// Rows whose predicted probability lies in (low, high].
struct ReliabilityBin {
  double low = 0;
  double high = 0;
  double predicted = 0;  // mean
  double observed = 0;   // share that flipped
  Interval interval;     // of the observed, exact, as if rows were independent
  std::int64_t rows = 0;
  std::int64_t flips = 0;
};

// Every prompt's rows predicted by the law of the other four fifths (form and numbers), ties left out. The
// base rate is the other four fifths' share of flips, whatever the margin.
struct Calibration {
  std::int64_t prompts = 0;
  std::int64_t rows = 0;
  std::int64_t flips = 0;
  double expected = 0;  // sum of the predictions
  double brier = 0;     // mean squared error (G. Brier, Monthly Weather Review 78, 1950)
  double brier_base = 0;
  double log_loss = 0;  // mean -log likelihood, nats
  double log_loss_base = 0;
  std::vector<ReliabilityBin> bins;  // those that have rows

  // The base rate alone predicts better, by either score: the law is not to be relied on.
  bool worse_than_base() const { return log_loss > log_loss_base || brier > brier_base; }
};
// nullopt with fewer than 10 prompts that have rows.
std::optional<Calibration> calibrate(const std::vector<MarginRow>& rows, std::size_t prompts,
                                     double confidence);

// With fewer prompts a forecast is as good as extrapolated.
inline constexpr std::int64_t kEnoughPrompts = 30;

struct ForecastPoint {
  std::int64_t tokens = 0;
  Estimate identical;  // share of prompts; the interval resamples prompts and fits the law anew each time
  bool extrapolated = false;  // beyond the longest text compared, or from too few prompts
};

// The share of prompts identical after n tokens as the law has it: the product over tokens of 1 minus the
// mean P(flip) of the prompts at risk. Greedy runs: those still compared, as in the survival curve, whose
// events are replaced by their probabilities. Follow runs have rows past a flip: there a prompt counts by
// its predicted survival so far. Texts that came to their end stay at risk with P = 0.
//
// Beyond the longest text L those still identical change ever more rarely: prompts that change easily are
// gone first, and texts grow surer. The hazard of token n falls as n^-b from what it was in the second half,
// (L/2, L]. b = 1 (every doubling of the length changes as many again) is what real runs cut short did on
// average; what they varied by goes into the interval, as a b drawn for every resample.
// docs/results/coverage.md has how often such intervals held.
struct Forecast {
  std::int64_t longest = 0;
  std::vector<ForecastPoint> points;  // ascending; the last is the length asked for
};
std::optional<Forecast> forecast(const analysis::Measurement& measurement, const std::vector<MarginRow>& rows,
                                 const FlipLaw& law, std::int64_t tokens, const BootstrapOptions& options);

// The three together.
struct FlipPrediction {
  FlipLaw law;
  std::vector<MarginBin> by_margin;
  std::optional<Calibration> calibration;
  std::optional<Forecast> forecast;  // of runs that generate, by a law that is not worse than the base rate
};
// nullopt without measured rows.
std::optional<FlipPrediction> predict_flips(const analysis::Measurement& measurement, std::int64_t tokens,
                                            const BootstrapOptions& options);

}  // namespace shardrift::statistics
