// Backend::fold on CPUs.
#pragma once
#include "model/backend.hpp"
#include "model/cpu/threads.hpp"
#include "parallel/reduction/order_map.hpp"

namespace shardrift {

// Bit-equal to scalar_fold, whatever the number of threads: each element is one thread's.
void cpu_fold(Threads& threads, const void* partials, std::size_t stride, DType partial_dtype,
              const OrderMap& map, Accumulator accumulator, const Matrix& out);

}  // namespace shardrift
