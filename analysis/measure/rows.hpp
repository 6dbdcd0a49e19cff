// One row of logits: stored words widened to float64, its top, its softmax.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/dtype.hpp"

namespace shardrift::analysis {

// words: out.size() little-endian elements of dtype. Exact for every dtype.
void widen(DType dtype, const std::byte* words, std::span<double> out);

// The largest elements of a row. NaN is never among them.
struct Top {
  std::int64_t id = 0;     // argmax, lowest id at ties
  double value = 0;        // its logit; -infinity where there is none
  std::int64_t count = 0;  // elements of exactly that value: more than 1 is an exact tie
  double margin = 0;       // top-1 minus top-2: 0 at a tie; infinite where nothing else is above -infinity
};

// Finds the top of rows, keeping its buffers.
class TopFinder {
 public:
  // Afterwards ids() are the `k` largest elements' (fewer where the row has fewer that are no NaN), lowest id
  // first at ties, sorted by id.
  Top find(std::span<const double> row, std::size_t k);
  const std::vector<std::int64_t>& ids() const { return ids_; }
  // Elements of the row found last that are above `value`.
  std::int64_t above(std::span<const double> row, double value) const;

 private:
  struct Entry {
    double value;
    std::int64_t id;
  };
  std::vector<double> block_max_;
  std::vector<double> sorted_max_;
  std::vector<Entry> entries_;
  std::vector<std::int64_t> ids_;
};

Top top_of(std::span<const double> row);

// e^x for x <= 0 (lanes.hpp).
double exp_nonpositive(double x);

// out[i] = exp(row[i] - top); returns their sum. NaN where the row has NaN or +infinity.
double exp_row(std::span<const double> row, double top, std::span<double> out);

// softmax(row)[id]
double probability(std::span<const double> row, std::int64_t id);

}  // namespace shardrift::analysis
