#include "parallel/reduction/scalar_fold.hpp"

#include <array>
#include <cstring>

#include "common/error.hpp"
#include "parallel/reduction/round_once.hpp"

namespace shardrift {
namespace {

template <typename T>
T word_at(const std::byte* at) {
  T word{};
  std::memcpy(&word, at, sizeof word);
  return word;
}

double load(const std::byte* at, DType dtype) {  // exact: float64 holds every value of the narrower types
  switch (storage_of(dtype)) {
    case DType::float64:
      return word_at<double>(at);
    case DType::float16:
      return static_cast<double>(float_from_float16(word_at<std::uint16_t>(at)));
    case DType::bfloat16:
      return static_cast<double>(float_from_bfloat16(word_at<std::uint16_t>(at)));
    default:
      return static_cast<double>(word_at<float>(at));
  }
}

// Rounds to dtype, once, whatever the value.
void store(double value, DType dtype, std::byte* at) {
  const auto put = [at](auto word) { std::memcpy(at, &word, sizeof word); };
  switch (storage_of(dtype)) {
    case DType::float64:
      return put(value);
    case DType::float16:
      return put(float16_from_float(odd_float_from(value)));
    case DType::bfloat16:
      return put(bfloat16_from_float(odd_float_from(value)));
    default:
      return put(static_cast<float>(value));
  }
}

double rounded(double value, DType dtype) {
  std::array<std::byte, sizeof(double)> word{};
  store(value, dtype, word.data());
  return load(word.data(), dtype);
}

}  // namespace

void check_fold(DType partial_dtype, DType out_dtype, const OrderMap& map, Accumulator accumulator) {
  if (map.count > 0 && map.shards() < 1) throw failure("a fold without shards");
  if (storage_of(partial_dtype) == DType::float64 && accumulator == Accumulator::float32)
    throw failure("float64 partials cannot be added in float32: they would be narrowed first");
  const DType from = storage_of(partial_dtype);
  const DType to = storage_of(out_dtype);
  if (from != to && (from != DType::float32 || to == DType::float64))
    throw failure("a fold of {} partials into {}: this is a bug", name_of(partial_dtype), name_of(out_dtype));
}

// The accumulator is rounded to from the float64 sum of two of its values: for float32 and the 16-bit types
// float64 has enough digits that this is the one correctly rounded sum (Figueroa 1995: 53 >= 2 · 24 + 2).
void scalar_fold(const void* partials, std::size_t stride, DType partial_dtype, const OrderMap& map,
                 Accumulator accumulator, void* out, DType out_dtype) {
  check_fold(partial_dtype, out_dtype, map, accumulator);
  const DType sum_dtype = accumulator == Accumulator::message   ? partial_dtype
                          : accumulator == Accumulator::float32 ? DType::float32
                                                                : DType::float64;
  std::array<double, SumTree::kMaxStack> stack{};
  for (const auto& segment : map.segments) {
    const auto& program = map.trees[static_cast<std::size_t>(segment.tree)].program;
    for (std::int64_t i = segment.begin; i < segment.end; ++i) {
      const auto element = static_cast<std::size_t>(i);
      std::size_t top = 0;
      for (const auto step : program) {
        if (step == SumTree::kAdd) {
          --top;
          stack[top - 1] = rounded(stack[top - 1] + stack[top], sum_dtype);
        } else {
          stack[top++] = load(static_cast<const std::byte*>(partials) +
                                  static_cast<std::size_t>(step) * stride + element * size_of(partial_dtype),
                              partial_dtype);
        }
      }
      store(stack[0], out_dtype, static_cast<std::byte*>(out) + element * size_of(out_dtype));
    }
  }
}

}  // namespace shardrift
