// Backend::attention on CPUs.
#pragma once
#include "model/backend.hpp"
#include "model/cpu/threads.hpp"

namespace shardrift {

void cpu_attention(Threads& threads, const Matrix& qkv, const AttentionShape& shape, const RowIndex& index,
                   const CacheView& cache, const Matrix& out);

}  // namespace shardrift
