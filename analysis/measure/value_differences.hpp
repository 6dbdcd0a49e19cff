// How far two rows of logits are apart as numbers: kernels behind RowComparer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/dtype.hpp"

namespace shardrift::analysis {

// Pairs of one number are no difference: -0 and +0, equal infinities, NaN in both. Pairs of which one is NaN,
// or of an infinity and another number, have no finite difference: they are counted, and left out of the
// rest.
struct ValueDifferences {
  std::int64_t elements_differ = 0;  // words; between dtypes: values
  std::int64_t not_finite = 0;
  double max_abs = 0;
  double sum_abs = 0;
  double sum_square = 0;
  double max_ulp = 0;  // numbers of the dtype between the two, plus one; 0 between dtypes
  double sum_ulp = 0;
};

// x, y: the rows, widened from `dtype` words.
ValueDifferences value_differences(DType dtype, const std::byte* x_words, const std::byte* y_words,
                                   std::span<const double> x, std::span<const double> y);
// Of rows stored in other dtypes.
ValueDifferences value_differences(std::span<const double> x, std::span<const double> y);

}  // namespace shardrift::analysis
