#include "model/cpu/linear.hpp"

#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>

#include "model/cpu/vector_kernels.hpp"
#include "model/scalar.hpp"
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

// The float32 accumulators of a 16-bit product: 16-bit products are exact in float32, only sums round.
template <typename T>
void widened(Threads& threads, const Matrix& x, const Matrix& weight, const Matrix& out) {
  std::vector<float> inputs(static_cast<std::size_t>(x.count()));
  for (std::int64_t i = 0; i < x.count(); ++i)
    inputs[static_cast<std::size_t>(i)] = static_cast<const T*>(x.data)[i];
  threads.for_range(weight.rows, 64, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> row(static_cast<std::size_t>(weight.cols));
    for (std::int64_t n = begin; n < end; ++n) {
      const T* source = static_cast<const T*>(weight.data) + n * weight.cols;
      for (std::int64_t k = 0; k < weight.cols; ++k) row[static_cast<std::size_t>(k)] = source[k];
      for (std::int64_t r = 0; r < x.rows; ++r)
        matrix_vector(row.data(), inputs.data() + r * x.cols, 0, 1, x.cols,
                      static_cast<float*>(out.data) + r * out.cols + n);
    }
  });
}

}  // namespace

void cpu_linear(Threads& threads, const Matrix& x, const Weight& weight, const Matrix& out) {
  if (storage_of(out.dtype) != storage_of(x.dtype)) {
    if (x.dtype == DType::float16) {
      widened<c10::Half>(threads, x, weight.matrix, out);
    } else {
      widened<c10::BFloat16>(threads, x, weight.matrix, out);
    }
    return;
  }
  if (x.rows == 1 && x.dtype == DType::float32) {
    one_row(threads, x, weight.matrix, out);
    return;
  }
  const c10::InferenceMode inference;
  at::Tensor result = torch_view(out, at::kCPU);
  at::mm_out(result, torch_view(x, at::kCPU), torch_view(weight.matrix, at::kCPU).t());
}

}  // namespace shardrift
