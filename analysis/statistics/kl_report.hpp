// A run's rows as llama.cpp's KL report gives them (`llama-perplexity --kl-divergence`,
// tools/perplexity/perplexity.cpp), and NeMo-RL's token multiplicative probability error: plain numbers over
// all rows, for people who know those reports. Intervals that may be relied on: run_statistics.hpp.
#pragma once
#include <cstdint>
#include <vector>

#include "analysis/measure/measurement.hpp"

namespace shardrift::statistics {

// Percentiles by linear interpolation (percentiles.hpp), as llama.cpp's.
struct Distribution {
  std::int64_t count = 0;    // values
  std::int64_t without = 0;  // rows that have none (NaN): left out
  double mean = analysis::kNoValue;
  double mean_error = analysis::kNoValue;  // sqrt((mean of squares - mean^2) / (count - 1)), as if rows were
                                           //   independent; they are not within a prompt
  double rms = analysis::kNoValue;
  double min = analysis::kNoValue;
  double p0_1 = analysis::kNoValue;
  double p1 = analysis::kNoValue;
  double p5 = analysis::kNoValue;
  double p10 = analysis::kNoValue;
  double p25 = analysis::kNoValue;
  double median = analysis::kNoValue;
  double p75 = analysis::kNoValue;
  double p90 = analysis::kNoValue;
  double p95 = analysis::kNoValue;
  double p99 = analysis::kNoValue;
  double p99_9 = analysis::kNoValue;
  double max = analysis::kNoValue;
};
Distribution distribution_of(std::vector<double> values);
// Of every measured row.
Distribution distribution_of(const analysis::Measurement& measurement, double (*of)(const analysis::Step&));

struct KlReport {
  std::int64_t rows = 0;  // measured
  Distribution kl;        // KL(reference || candidate), nats
  Distribution delta_p;   // q(t) - p(t) of the token t that came next: in greedy runs the chosen one
  double rms_delta_p_error = analysis::kNoValue;
  double same_top_p = analysis::kNoValue;  // share of rows whose chosen tokens agree
  double same_top_p_error = analysis::kNoValue;
  // Mean over rows of exp |log q(t) - log p(t)|: 1 where nothing differs (NeMo-RL, docs/guides/grpo.md).
  double token_probability_error = analysis::kNoValue;
};
KlReport kl_report(const analysis::Measurement& measurement);

// q(t) - p(t) of the token that came next; NaN where none did.
double delta_p_of_next(const analysis::Step& step);

}  // namespace shardrift::statistics
