#include "model/cuda/products/grouped_product.hpp"

#include "model/cuda/check.hpp"
#include "model/cuda/products/product_kernels.hpp"

namespace shardrift::cuda {

void grouped_product(const Matrix& x, const ExpertTable& table, const ExpertPairs& pairs, const Matrix& out,
                     cudaStream_t stream) {
  if (out.count() == 0) return;
  const DType dtype = storage_of(x.dtype);
  if (size_of(dtype) != 2) throw failure("a grouped product of {}: this is a bug", name_of(dtype));
  ProductView product;
  product.x = x.data;
  product.out = out.data;
  product.rows = x.rows;
  product.columns = table.shape.rows;
  product.k = static_cast<int>(x.cols);
  product.wide = storage_of(out.dtype) != dtype;
  // (Experts' matrices are allocations of their own.)
  product.aligned = static_cast<std::size_t>(x.cols) * size_of(dtype) % 16 == 0 &&
                    reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0;
  if (table.format == WeightFormat::plain) {
    multiply_grouped_rows(dtype, product, table, pairs, stream);
  } else {
    multiply_grouped_coded_rows(dtype, product, table, pairs, stream);
  }
  check(cudaGetLastError(), "grouped_product");
}

}  // namespace shardrift::cuda
