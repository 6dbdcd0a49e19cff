#include "model/cuda/linear.hpp"

#include <ATen/Context.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDAStream.h>

#include "model/torch_view.hpp"

namespace shardrift::cuda {
namespace {

at::Tensor view(const Matrix& m) {
  return torch_view(m, at::Device(at::kCUDA, c10::cuda::current_device()));
}

}  // namespace

cudaStream_t start_torch(bool tf32) {
  auto& context = at::globalContext();
  context.lazyInitDevice(at::kCUDA);
  // Sums inside a product stay in float32: the partials of a split K are otherwise rounded to 16 bits.
  context.setAllowFP16ReductionCuBLAS(false, true);  // (reduced precision, split K)
  context.setAllowBF16ReductionCuBLAS(false, true);
  context.setAllowTF32CuBLAS(tf32);
  const auto stream = c10::cuda::getStreamFromPool(true);
  c10::cuda::setCurrentCUDAStream(stream);
  return stream.stream();
}

cudaStream_t another_stream() {
  return c10::cuda::getStreamFromPool(true).stream();
}

void set_product_stream(cudaStream_t stream) {
  c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromExternal(stream, c10::cuda::current_device()));
}

void linear(const Matrix& x, const Weight& weight, const Matrix& out) {
  const c10::InferenceMode inference;
  at::Tensor result = view(out);
  if (storage_of(out.dtype) == storage_of(x.dtype)) {
    at::mm_out(result, view(x), view(weight.matrix).t());
  } else {
    at::mm_out(result, view(x), view(weight.matrix).t(), at::kFloat);
  }
}

}  // namespace shardrift::cuda
