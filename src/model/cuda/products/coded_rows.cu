// Products of few rows with coded weights: codes stream past and become numbers in registers, which go the
// way of plain ones, so that the bits are theirs.
#include "model/cuda/products/coded_fragments.cuh"
#include "model/cuda/products/few_rows.cuh"

namespace shardrift::cuda {
namespace {

template <typename T, typename Codes>
void launch_shape(const ProductView& product, cudaStream_t stream) {
  constexpr int kStages = Codes::kBits == 8 ? 5 : 7;
  if (product.rows <= 8) {
    launch_few_rows<T, CodedWeights<T, Codes, 1>, FewShape<1, 1, kStages>>(product, stream);
  } else {
    launch_few_rows<T, CodedWeights<T, Codes, 1>, FewShape<1, 2, 4>>(product, stream);
  }
}

}  // namespace

void multiply_coded_rows(DType dtype, WeightFormat format, const ProductView& product, cudaStream_t stream) {
  visit_codes(format, [&]<typename Codes>() {
    if (dtype == DType::bfloat16) {
      launch_shape<c10::BFloat16, Codes>(product, stream);
    } else {
      launch_shape<c10::Half, Codes>(product, stream);
    }
  });
}

}  // namespace shardrift::cuda
