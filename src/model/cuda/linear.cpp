#include "model/cuda/linear.hpp"

#include <ATen/Context.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <c10/core/InferenceMode.h>
#include <c10/cuda/CUDAStream.h>

namespace shardrift::cuda {
namespace {

at::ScalarType scalar_type(DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return at::kDouble;
    case DType::float16:
      return at::kHalf;
    case DType::bfloat16:
      return at::kBFloat16;
    default:
      return at::kFloat;
  }
}

at::Tensor view(const Matrix& m) {
  const auto options = at::dtype(scalar_type(m.dtype)).device(at::kCUDA, c10::cuda::current_device());
  return at::from_blob(m.data, {m.rows, m.cols}, options);
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

void linear(const Matrix& x, const Matrix& weight, const Matrix& out) {
  const c10::InferenceMode inference;
  at::Tensor result = view(out);
  if (storage_of(out.dtype) == storage_of(x.dtype)) {
    at::mm_out(result, view(x), view(weight).t());
  } else {
    at::mm_out(result, view(x), view(weight).t(), at::kFloat);
  }
}

}  // namespace shardrift::cuda
