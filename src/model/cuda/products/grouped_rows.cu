// Products of pairs with plain weights.
#include "model/cuda/products/grouped_rows.cuh"
#include "model/cuda/products/plain_fragments.cuh"

namespace shardrift::cuda {
namespace {

template <typename T, int x_tiles>
void launch(const ProductView& product, const ExpertTable& table, const ExpertPairs& pairs,
            cudaStream_t stream) {
  using Shape = FewShape<1, x_tiles, 4>;
  if (product.aligned) {
    launch_grouped_rows<T, PlainWeights<1, true>, Shape>(product, table, pairs, stream);
  } else {
    launch_grouped_rows<T, PlainWeights<1, false>, Shape>(product, table, pairs, stream);
  }
}

// An expert has as many pairs as the pass has rows, at most.
template <typename T>
void launch_shape(const ProductView& product, const ExpertTable& table, const ExpertPairs& pairs,
                  cudaStream_t stream) {
  if (pairs.rows <= 8) {
    launch<T, 1>(product, table, pairs, stream);
  } else {
    launch<T, 2>(product, table, pairs, stream);
  }
}

}  // namespace

void multiply_grouped_rows(DType dtype, const ProductView& product, const ExpertTable& table,
                           const ExpertPairs& pairs, cudaStream_t stream) {
  if (dtype == DType::bfloat16) {
    launch_shape<c10::BFloat16>(product, table, pairs, stream);
  } else {
    launch_shape<c10::Half>(product, table, pairs, stream);
  }
}

}  // namespace shardrift::cuda
