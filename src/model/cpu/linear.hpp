// Matrix products on CPUs: a library's, through ATen on one thread, or our own (model/cpu/products).
#pragma once
#include "model/cpu/threads.hpp"
#include "model/matrix.hpp"
#include "parallel/plan/plan.hpp"

namespace shardrift {

// out = x · weightᵀ, see Backend::linear. Whose kernel depends on `products`, shape, dtype and the CPU alone.
void cpu_linear(Threads& threads, Products products, const Matrix& x, const Weight& weight,
                const Matrix& out);

}  // namespace shardrift
