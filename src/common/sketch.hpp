// Random projections of a row of a tensor: how far two rows are apart is told from their sketches alone,
// whoever holds which columns.
//
// Sketch k of a row x is Σ ±x[j] over its columns j, the signs taken from a hash of j and k (Alon, Matias,
// Szegedy: The space complexity of approximating the frequency moments, 1996; as projections: Achlioptas:
// Database-friendly random projections, 2003). Sketches are linear: those of the shards of a row add up to
// the row's, and the mean over k of (sketch k of x - sketch k of y)² is ‖x - y‖² on average, whatever x and y
// are; over the 8 of one row it is mostly within a factor of two, over many rows close.
#pragma once
#include <cstddef>
#include <cstdint>

#include "common/dtype.hpp"

namespace shardrift {

inline constexpr int kSketches = 8;

// Adds `count` words of a row, whose first is column `index` of the unsharded row, to its kSketches sketches.
void add_to_sketch(const std::byte* words, std::int64_t count, DType dtype, std::int64_t index,
                   double* sketches);

}  // namespace shardrift
