// A matrix product by the kernels of fixed order, on all threads of a rank.
#pragma once
#include "model/cpu/products/product_kernels.hpp"
#include "model/cpu/threads.hpp"
#include "model/matrix.hpp"

namespace shardrift {

// out = x · weightᵀ, out in x's dtype, or in float32 where x has 16 bits. An output element is one thread's.
void fixed_product(Threads& threads, const Matrix& x, const Matrix& weight, const Matrix& out,
                   const ProductKernels& kernels);
void fixed_product(Threads& threads, const Matrix& x, const Matrix& weight,
                   const Matrix& out);  // the fastest

}  // namespace shardrift
