#include "model/cpu/expert_products.hpp"

#include <cstring>
#include <vector>

#include "model/cpu/products/fixed_product.hpp"
#include "model/scalar.hpp"

namespace shardrift {
namespace {

std::byte* row_of(const Matrix& m, std::int64_t row) {
  return static_cast<std::byte*>(m.data) + static_cast<std::size_t>(row * m.cols) * size_of(m.dtype);
}

void add_bias(const Matrix& row, const void* bias) {
  visit_dtype(row.dtype, [&]<typename T>() {
    using C = Compute<T>;
    auto* sums = static_cast<T*>(row.data);
    const auto* addends = static_cast<const T*>(bias);
    for (std::int64_t i = 0; i < row.cols; ++i)
      sums[i] = static_cast<T>(static_cast<C>(sums[i]) + static_cast<C>(addends[i]));
  });
}

}  // namespace

// An expert's rows are brought together, so that its weights are read once.
void cpu_linear_of_experts(Threads& threads, const Matrix& x, const ExpertTable& table,
                           const ExpertPairs& pairs, const Matrix& out) {
  const std::int64_t shared_by = pairs.count() / x.rows;  // pairs of a row of x
  std::vector<std::byte> inputs, outputs;
  std::vector<std::int64_t> of_expert;
  for (std::int32_t id = 0; id < table.count; ++id) {
    const ExpertMatrix& expert = table.experts[id];
    if (expert.weight == nullptr) continue;
    of_expert.clear();
    for (std::int64_t pair = 0; pair < pairs.count(); ++pair)
      if (pairs.experts[pair] == id) of_expert.push_back(pair);
    if (of_expert.empty()) continue;
    const auto rows = static_cast<std::int64_t>(of_expert.size());
    Matrix from{nullptr, rows, x.cols, x.dtype};
    Matrix to{nullptr, rows, out.cols, out.dtype};
    const std::size_t in_bytes = from.first_rows(1).bytes(), out_bytes = to.first_rows(1).bytes();
    inputs.resize(from.bytes());
    outputs.resize(to.bytes());
    from.data = inputs.data();
    to.data = outputs.data();
    for (std::int64_t i = 0; i < rows; ++i)
      std::memcpy(row_of(from, i), row_of(x, of_expert[static_cast<std::size_t>(i)] / shared_by), in_bytes);
    Matrix weight = table.shape;
    weight.data = const_cast<void*>(expert.weight);
    fixed_product(threads, from, weight, to);
    for (std::int64_t i = 0; i < rows; ++i) {
      const Matrix row{row_of(out, of_expert[static_cast<std::size_t>(i)]), 1, out.cols, out.dtype};
      std::memcpy(row.data, row_of(to, i), out_bytes);
      if (expert.bias != nullptr) add_bias(row, expert.bias);
    }
  }
}

}  // namespace shardrift
