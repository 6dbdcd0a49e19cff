// Launchers of our CUDA kernels, one for each operation of Backend that is not a matrix product. Arguments
// are those of Backend; everything is enqueued on `stream`. Errors are left for the caller to ask with
// cudaGetLastError.
#pragma once
#include <cuda_runtime_api.h>

#include "model/backend.hpp"
#include "model/device_order_map.hpp"

namespace shardrift::cuda {

void embed(const Matrix& table, Range rows, const RowIndex& index, const Matrix& out, cudaStream_t stream);
void pick_rows(const void* gathered, std::size_t stride, const std::int32_t* owner, const RowIndex& index,
               const Matrix& out, cudaStream_t stream);
void rms_norm(const Matrix& x, const NormView& norm, const Matrix& out, cudaStream_t stream);
void add_and_norm(const Matrix& to, const Matrix& delta, const NormView& norm, const Matrix& out,
                  cudaStream_t stream);
void head_norm(const Matrix& m, Range heads, const NormView& norm, cudaStream_t stream);
void rope_and_cache(const Matrix& qkv, std::int64_t query_heads, const RopeView& rope, const RowIndex& index,
                    const CacheView& cache, cudaStream_t stream);
void attention(const Matrix& qkv, const AttentionShape& shape, const RowIndex& index, const CacheView& cache,
               const Matrix& out, cudaStream_t stream);
// False where it has no kernel for both at once, and has done nothing.
bool rope_and_attention(const Matrix& qkv, const AttentionShape& shape, const RopeView& rope,
                        const RowIndex& index, const CacheView& cache, const Matrix& out,
                        cudaStream_t stream);
void activate(const Matrix& gate_up, Activation activation, double limit, const Matrix& out,
              cudaStream_t stream);
void route(const Matrix& logits, const ExpertsSpec& spec, bool given, std::int32_t* ids, void* weights,
           cudaStream_t stream);
void combine_experts(const ExpertOutputs& outputs, const Matrix& out, cudaStream_t stream);
void choose(const Matrix& logits, std::int32_t* chosen, cudaStream_t stream);
void take_chosen(const std::int32_t* chosen, std::int64_t rows, std::int32_t* tokens, cudaStream_t stream);
void scale(const Matrix& m, double factor, cudaStream_t stream);
void divide_and_cap(const Matrix& m, double divisor, double softcap, cudaStream_t stream);
void copy_columns(const Matrix& from, Range columns, const Matrix& to, std::int64_t at, cudaStream_t stream);
void add(const Matrix& to, const Matrix& delta, cudaStream_t stream);
void fill_negative_zero(const Matrix& out, cudaStream_t stream);
void fold(const void* partials, std::size_t stride, DType partial_dtype, const DeviceOrderMap& map,
          Accumulator accumulator, const Matrix& out, cudaStream_t stream);
void join_columns(const ColumnSlices& slices, const Matrix& out, cudaStream_t stream);
void checksum(const Matrix& m, Range columns, std::int64_t index, std::uint64_t* sums,
              const std::int32_t* targets, cudaStream_t stream);

}  // namespace shardrift::cuda
