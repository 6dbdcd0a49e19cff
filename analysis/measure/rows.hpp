// One row of logits: stored words widened to float64, its top, its softmax. The loops run over 8 independent
// lanes, so that sums have one fixed order on every machine and compilers can vectorise them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/dtype.hpp"

namespace shardrift::analysis {

// words: out.size() little-endian elements of dtype. Exact for every dtype.
void widen(DType dtype, const std::byte* words, std::span<double> out);

struct Top {
  std::int64_t id = 0;     // argmax, lowest id at ties; NaN is never the top
  double value = 0;        // its logit
  std::int64_t count = 0;  // elements of exactly that value: more than 1 is an exact tie
  double margin = 0;       // top-1 minus top-2: 0 at a tie; infinite where nothing else is above -infinity
};
Top top_of(std::span<const double> row);

// exp(x) for x <= 0, within 2 units in the last place of the true value; 0 below -708, NaN for NaN.
// Our own, because libm's differs from machine to machine and does not vectorise.
double exp_nonpositive(double x);

// out[i] = exp(row[i] - top); returns their sum. NaN where the row has NaN or +infinity.
double exp_row(std::span<const double> row, double top, std::span<double> out);

// softmax(row)[id]
double probability(std::span<const double> row, std::int64_t id);

}  // namespace shardrift::analysis
