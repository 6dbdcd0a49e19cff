// The plain scalar reference of every fold: one element at a time, the tree's program as it stands. CPU and
// CUDA kernels are tested bit-equal against it.
#pragma once
#include <cstdint>

#include "common/dtype.hpp"
#include "parallel/reduction/order_map.hpp"
#include "parallel/reduction/reduction.hpp"

namespace shardrift {

// What every fold refuses before it starts, with failure: plans that ask for it are refused earlier
// (validated).
void check_fold(DType partial_dtype, DType out_dtype, const OrderMap& map, Accumulator accumulator);

// partials: S blocks of map.count elements of partial_dtype, `stride` bytes apart. out: map.count elements of
// out_dtype, which is partial_dtype or, where that is float32, any narrower type. accumulator message rounds
// to partial_dtype at every add; float32 and float64 add in that type and round once, to out_dtype, at the
// end. Partials widen exactly before the first add.
void scalar_fold(const void* partials, std::size_t stride, DType partial_dtype, const OrderMap& map,
                 Accumulator accumulator, void* out, DType out_dtype);

}  // namespace shardrift
