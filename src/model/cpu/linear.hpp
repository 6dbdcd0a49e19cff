// Matrix products on CPUs: ATen (MKL, oneDNN) on one thread, or our own kernel for one float32 row.
#pragma once
#include "model/cpu/threads.hpp"
#include "model/matrix.hpp"

namespace shardrift {

// out = x · weightᵀ, see Backend::linear. The choice of kernel depends on shape and dtype alone.
void cpu_linear(Threads& threads, const Matrix& x, const Weight& weight, const Matrix& out);

}  // namespace shardrift
