// Products of pairs with coded weights.
#include "model/cuda/products/coded_fragments.cuh"
#include "model/cuda/products/grouped_rows.cuh"

namespace shardrift::cuda {
namespace {

template <typename T, typename Codes>
void launch_shape(const ProductView& product, const ExpertTable& table, const ExpertPairs& pairs,
                  cudaStream_t stream) {
  using Weights = CodedWeights<T, Codes, 1>;
  constexpr int kStages = Codes::kBits == 8 ? 5 : 7;
  if (takes_two_tiles(table, pairs)) {
    launch_grouped_rows<T, Weights, FewShape<1, 2, 4>>(product, table, pairs, stream);
  } else {
    launch_grouped_rows<T, Weights, FewShape<1, 1, kStages>>(product, table, pairs, stream);
  }
}

}  // namespace

void multiply_grouped_coded_rows(DType dtype, const ProductView& product, const ExpertTable& table,
                                 const ExpertPairs& pairs, cudaStream_t stream) {
  visit_codes(table.format, [&]<typename Codes>() {
    if (dtype == DType::bfloat16) {
      launch_shape<c10::BFloat16, Codes>(product, table, pairs, stream);
    } else {
      launch_shape<c10::Half, Codes>(product, table, pairs, stream);
    }
  });
}

}  // namespace shardrift::cuda
