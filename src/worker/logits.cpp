#include "worker/logits.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace shardrift {
namespace {

// Raw words to float (exact for the 16-bit types) or double.
template <typename F>
void visit_row(std::span<const std::byte> row, DType dtype, F&& f) {
  const std::size_t count = row.size() / size_of(dtype);
  if (dtype == DType::float64) {
    std::vector<double> values(count);
    std::memcpy(values.data(), row.data(), row.size());
    f(values);
    return;
  }
  std::vector<float> values(count);
  if (storage_of(dtype) == DType::float32) {
    std::memcpy(values.data(), row.data(), row.size());
  } else {
    const bool half = dtype == DType::float16;
    for (std::size_t i = 0; i < count; ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, row.data() + 2 * i, sizeof bits);
      values[i] = half ? float_from_float16(bits) : float_from_bfloat16(bits);
    }
  }
  f(values);
}

}  // namespace

void append_top(std::span<const std::byte> row, DType dtype, record::Top& top) {
  visit_row(row, dtype, [&](const auto& values) {
    std::vector<std::int32_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    const auto k = std::min<std::size_t>(static_cast<std::size_t>(top.k), values.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                      [&](std::int32_t a, std::int32_t b) {
                        const auto x = values[static_cast<std::size_t>(a)];
                        const auto y = values[static_cast<std::size_t>(b)];
                        return x != y ? x > y : a < b;
                      });
    const double highest = values[static_cast<std::size_t>(order[0])];
    double sum = 0;
    for (const auto value : values) sum += std::exp(static_cast<double>(value) - highest);
    const double log_sum = highest + std::log(sum);
    for (std::size_t i = 0; i < k; ++i) {
      top.ids.push_back(order[i]);
      top.log_probabilities.push_back(
          static_cast<float>(values[static_cast<std::size_t>(order[i])] - log_sum));
    }
  });
}

}  // namespace shardrift
