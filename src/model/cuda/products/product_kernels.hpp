// The kernels behind fixed_product, and what they are given.
#pragma once
#include <cuda_runtime_api.h>

#include "common/dtype.hpp"
#include "model/backend.hpp"

namespace shardrift::cuda {

struct ProductView {
  const void* x = nullptr;       // [rows, k]
  const void* weight = nullptr;  // [columns, k]
  void* out = nullptr;           // [rows, columns]
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  int k = 0;
  bool wide = false;              // out is float32, x is narrower
  bool aligned = false;           // rows of x and weight begin at multiples of 16 bytes
  const float* scales = nullptr;  // of coded weights
  const void* bias = nullptr;     // [columns], added to what has rounded; or none
  bool early = true;              // weights may be read before the kernels before this one have ended
};

// 16 bits: the weights stream past up to some 64 rows; or tiles of both.
void multiply_few_rows(DType dtype, const ProductView& product, cudaStream_t stream);
void multiply_many_rows(DType dtype, const ProductView& product, cudaStream_t stream);
// The same with coded weights of 16-bit numbers (coded.cuh), whose x is aligned.
void multiply_coded_rows(DType dtype, WeightFormat format, const ProductView& product, cudaStream_t stream);
// The same of pairs: weight, scales and bias are those of a pair's expert in the table, x has `rows` rows or
// one a pair, out one a pair. Pairs of one expert share its weights, by kXRows of few_rows.cuh.
void multiply_grouped_rows(DType dtype, const ProductView& product, const ExpertTable& table,
                           const ExpertPairs& pairs, cudaStream_t stream);
void multiply_grouped_coded_rows(DType dtype, const ProductView& product, const ExpertTable& table,
                                 const ExpertPairs& pairs, cudaStream_t stream);
// float32 and float64.
void multiply_wide_numbers(DType dtype, const ProductView& product, cudaStream_t stream);

}  // namespace shardrift::cuda
