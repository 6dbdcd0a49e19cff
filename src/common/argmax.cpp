#include "common/argmax.hpp"

#include <cmath>
#include <cstring>

namespace shardrift {
namespace {

template <typename Word, typename Value>
std::int32_t largest(std::span<const std::byte> row, Value&& value) {
  const std::size_t count = row.size() / sizeof(Word);
  auto best = value(Word{});
  std::int32_t top = -1;
  bool nan = false;
  for (std::size_t i = 0; i < count; ++i) {
    Word word{};
    std::memcpy(&word, row.data() + i * sizeof(Word), sizeof word);
    const auto now = value(word);
    nan = nan || std::isnan(now);
    if (top >= 0 && !(now > best)) continue;
    best = now;
    top = static_cast<std::int32_t>(i);
  }
  return nan ? -1 : top;
}

}  // namespace

std::int32_t argmax(std::span<const std::byte> row, DType dtype) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return largest<double>(row, [](double value) { return value; });
    case DType::float16:
      return largest<std::uint16_t>(row, float_from_float16);
    case DType::bfloat16:
      return largest<std::uint16_t>(row, float_from_bfloat16);
    default:
      return largest<float>(row, [](float value) { return value; });
  }
}

}  // namespace shardrift
