// The sum tree's program run over blocks of elements: every step is one plain loop, which the compiler
// vectorizes, over rows that stay in the first-level cache.
#include "model/cpu/fold.hpp"

#include <algorithm>

#include "model/scalar.hpp"
#include "parallel/reduction/round_once.hpp"
#include "parallel/reduction/scalar_fold.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kBlock = 512;

// One rounding, from the accumulator's type to the stored one.
template <typename To, typename From>
To narrowed(From value) {
  if constexpr (std::is_same_v<From, double> && sizeof(To) == 2) {
    return static_cast<To>(odd_float_from(value));
  } else {
    return static_cast<To>(value);
  }
}

// P: partial, A: accumulator, O: stored result. kRounds: every add rounds to P, which is narrower than A.
template <typename P, typename A, typename O, bool kRounds>
void fold_block(const std::byte* partials, std::size_t stride, const SumTree& tree, std::int64_t begin,
                std::int64_t count, O* out) {
  A stack[SumTree::kMaxStack][kBlock];
  std::size_t top = 0;
  for (const auto step : tree.program) {
    if (step != SumTree::kAdd) {
      const P* partial =
          reinterpret_cast<const P*>(partials + static_cast<std::size_t>(step) * stride) + begin;
      A* value = stack[top++];
      for (std::int64_t i = 0; i < count; ++i) value[i] = static_cast<A>(partial[i]);
      continue;
    }
    --top;
    A* first = stack[top - 1];
    const A* second = stack[top];
    for (std::int64_t i = 0; i < count; ++i) {
      if constexpr (kRounds) {
        first[i] = static_cast<A>(static_cast<P>(first[i] + second[i]));
      } else {
        first[i] += second[i];
      }
    }
  }
  for (std::int64_t i = 0; i < count; ++i) out[begin + i] = narrowed<O>(stack[0][i]);
}

template <typename P, typename A, typename O, bool kRounds>
void fold_range(const std::byte* partials, std::size_t stride, const OrderMap& map, std::int64_t begin,
                std::int64_t end, O* out) {
  auto segment = std::upper_bound(map.segments.begin(), map.segments.end(), begin,
                                  [](std::int64_t at, const OrderSegment& s) { return at < s.end; });
  while (begin < end) {
    const std::int64_t count = std::min({kBlock, end - begin, segment->end - begin});
    fold_block<P, A, O, kRounds>(partials, stride, map.trees[static_cast<std::size_t>(segment->tree)], begin,
                                 count, out);
    begin += count;
    if (begin == segment->end) ++segment;
  }
}

template <typename P, typename O>
void fold_as(Threads& threads, const void* partials, std::size_t stride, const OrderMap& map,
             Accumulator accumulator, const Matrix& out) {
  const auto with = [&]<typename A, bool kRounds>() {
    threads.for_range(map.count, 16 * kBlock, [&](std::int64_t begin, std::int64_t end) {
      fold_range<P, A, O, kRounds>(static_cast<const std::byte*>(partials), stride, map, begin, end,
                                   static_cast<O*>(out.data));
    });
  };
  if (accumulator == Accumulator::float64 || sizeof(P) == sizeof(double)) {
    with.template operator()<double, false>();
  } else if (accumulator == Accumulator::message && sizeof(P) == 2) {
    // The sum of two 16-bit floats in float32, rounded to 16 bits, is the correctly rounded one
    // (narrow_sum.hpp).
    with.template operator()<float, true>();
  } else {
    with.template operator()<float, false>();
  }
}

}  // namespace

void cpu_fold(Threads& threads, const void* partials, std::size_t stride, DType partial_dtype,
              const OrderMap& map, Accumulator accumulator, const Matrix& out) {
  check_fold(partial_dtype, out.dtype, map, accumulator);
  visit_dtype(out.dtype, [&]<typename O>() {
    if (storage_of(partial_dtype) == storage_of(out.dtype)) {
      fold_as<O, O>(threads, partials, stride, map, accumulator, out);
    } else {
      fold_as<float, O>(threads, partials, stride, map, accumulator, out);
    }
  });
}

}  // namespace shardrift
