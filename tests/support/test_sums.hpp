// Sums to be probed, without the worker's machinery.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "parallel/probe/probe.hpp"

namespace shardrift::testing {

// A live all-reduce, in place.
inline ProbedSum in_place_sum(int rank, const std::function<void(void*, std::int64_t, DType)>& all_reduce,
                              std::int64_t count, DType dtype) {
  return [=](const FillPartial& fill, void* out) {
    fill(rank, out);
    all_reduce(out, count, dtype);
  };
}

// All partials here, `stride` bytes apart, and a fold of them.
inline ProbedSum local_sum(int ranks, const std::function<void(const void*, std::size_t, void*)>& fold,
                           std::int64_t count, DType dtype) {
  const std::size_t stride = size_of(dtype) * static_cast<std::size_t>(count);
  return [=](const FillPartial& fill, void* out) {
    std::vector<std::byte> partials(stride * static_cast<std::size_t>(ranks));
    for (int rank = 0; rank < ranks; ++rank) fill(rank, &partials[static_cast<std::size_t>(rank) * stride]);
    fold(partials.data(), stride, out);
  };
}

}  // namespace shardrift::testing
