#include "model/cuda/products/fixed_product.hpp"

#include "model/cuda/check.hpp"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {
namespace {

bool starts_aligned(const void* data) {
  return reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
}

}  // namespace

void fixed_product(const Matrix& x, const Weight& weight, const Matrix& out, DecodedWeights& decoded,
                   cudaStream_t stream) {
  if (out.count() == 0) return;
  const DType dtype = storage_of(x.dtype);
  constexpr std::int64_t kFew = 64;  // by speed alone: both have the same order
  const bool many = x.rows > kFew;
  const bool is_coded = weight.format != WeightFormat::plain;
  ProductView product;
  product.x = x.data;
  product.weight = is_coded && many ? decoded.of(weight, stream).data : weight.matrix.data;
  product.out = out.data;
  product.rows = x.rows;
  product.columns = weight.matrix.rows;
  product.k = static_cast<int>(x.cols);
  product.wide = storage_of(out.dtype) != dtype;
  product.aligned = static_cast<std::size_t>(x.cols) * size_of(dtype) % 16 == 0 && starts_aligned(x.data) &&
                    starts_aligned(product.weight);
  product.scales = static_cast<const float*>(weight.scales.data);
  product.early = !is_coded;
  if (size_of(dtype) > 2) {
    multiply_wide_numbers(dtype, product, stream);
  } else if (many) {
    multiply_many_rows(dtype, product, stream);
  } else if (is_coded) {
    multiply_coded_rows(dtype, weight.format, product, stream);
  } else {
    multiply_few_rows(dtype, product, stream);
  }
  check(cudaGetLastError(), "fixed_product");
}

}  // namespace shardrift::cuda
