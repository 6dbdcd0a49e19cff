// Products of pairs with plain weights.
#include "model/cuda/products/grouped_rows.cuh"
#include "model/cuda/products/plain_fragments.cuh"

namespace shardrift::cuda {
namespace {

template <typename T, int x_tiles, int stages>
void launch(const ProductView& product, const ExpertTable& table, const ExpertPairs& pairs,
            cudaStream_t stream) {
  using Shape = FewShape<1, x_tiles, stages>;
  if (product.aligned) {
    launch_grouped_rows<T, PlainWeights<1, true>, Shape>(product, table, pairs, stream);
  } else {
    launch_grouped_rows<T, PlainWeights<1, false>, Shape>(product, table, pairs, stream);
  }
}

template <typename T>
void launch_shape(const ProductView& product, const ExpertTable& table, const ExpertPairs& pairs,
                  cudaStream_t stream) {
  if (takes_two_tiles(table, pairs)) {
    launch<T, 2, 3>(product, table, pairs, stream);
  } else {
    launch<T, 1, 4>(product, table, pairs, stream);
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
