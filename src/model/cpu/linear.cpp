#include "model/cpu/linear.hpp"

#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>

#include "model/cpu/products/fixed_product.hpp"
#include "model/cpu/vector_kernels.hpp"
#include "model/torch_view.hpp"

namespace shardrift {
namespace {

// Memory-bound, so worth all threads; each output element is one thread's, in a fixed order.
void one_row(Threads& threads, const Matrix& x, const Matrix& weight, const Matrix& out) {
  constexpr std::int64_t kGrain = 64;  // rows of weight worth waking a thread for
  threads.for_range(weight.rows, kGrain, [&](std::int64_t begin, std::int64_t end) {
    matrix_vector(static_cast<const float*>(weight.data), static_cast<const float*>(x.data), begin, end,
                  weight.cols, static_cast<float*>(out.data));
  });
}

// Which products --products library leaves to us. Many rows of 16-bit numbers are the library's where a
// matrix unit multiplies them, many times as fast as vectors do; without one it takes twice the time it takes
// in float32 (docs/results/cpu-speed.md).
bool is_ours(const Matrix& x, const Matrix& out) {
  if (size_of(x.dtype) > 2) return false;
  const bool sums_wanted = storage_of(out.dtype) != storage_of(x.dtype);  // as they are, in float32
  return sums_wanted || x.rows == 1 || !has_matrix_unit(x.dtype == DType::float16);
}

}  // namespace

void cpu_linear(Threads& threads, Products products, const Matrix& x, const Weight& weight,
                const Matrix& out) {
  if (products == Products::fixed || is_ours(x, out)) return fixed_product(threads, x, weight.matrix, out);
  if (x.rows == 1 && x.dtype == DType::float32) return one_row(threads, x, weight.matrix, out);
  const c10::InferenceMode inference;
  at::Tensor result = torch_view(out, at::kCPU);
  at::mm_out(result, torch_view(x, at::kCPU), torch_view(weight.matrix, at::kCPU).t());
}

}  // namespace shardrift
