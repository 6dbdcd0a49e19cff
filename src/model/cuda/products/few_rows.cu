// Products of few rows with plain weights.
#include "model/cuda/products/few_rows.cuh"
#include "model/cuda/products/plain_fragments.cuh"

namespace shardrift::cuda {
namespace {

template <typename T, int weight_tiles, int x_tiles, int stages>
void launch(const ProductView& product, cudaStream_t stream) {
  using Shape = FewShape<weight_tiles, x_tiles, stages>;
  if (product.aligned) {
    launch_few_rows<T, PlainWeights<weight_tiles, true>, Shape>(product, stream);
  } else {
    launch_few_rows<T, PlainWeights<weight_tiles, false>, Shape>(product, stream);
  }
}

template <typename T>
void launch_shape(const ProductView& product, cudaStream_t stream) {
  if (product.rows <= 8) {
    launch<T, 1, 1, 4>(product, stream);
  } else if (product.rows <= 16) {
    launch<T, 1, 2, 4>(product, stream);
  } else {
    launch<T, 2, 4, 3>(product, stream);
  }
}

}  // namespace

void multiply_few_rows(DType dtype, const ProductView& product, cudaStream_t stream) {
  if (dtype == DType::bfloat16) {
    launch_shape<c10::BFloat16>(product, stream);
  } else {
    launch_shape<c10::Half>(product, stream);
  }
}

}  // namespace shardrift::cuda
