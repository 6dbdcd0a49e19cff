// A Matrix as a torch tensor that shares its memory. Included only where matrices are multiplied: torch
// headers are slow to compile.
#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include "model/matrix.hpp"

namespace shardrift {

inline at::ScalarType torch_dtype(DType dtype) {
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

inline at::Tensor torch_view(const Matrix& m, at::Device device) {
  return at::from_blob(m.data, {m.rows, m.cols}, at::dtype(torch_dtype(m.dtype)).device(device));
}

}  // namespace shardrift
