#include "analysis/measure/value_differences.hpp"

#include <array>

#include "common/clones.hpp"
#include "analysis/measure/lanes.hpp"

namespace shardrift::analysis {
namespace {

using namespace lanes;

constexpr double kLargest = std::numeric_limits<double>::max();

using Int16s __attribute__((vector_size(16))) = std::int16_t;
using Int32s __attribute__((vector_size(32))) = std::int32_t;

// Words as integers in the order of the numbers they stand for, both zeros 0: neighbours differ by 1.
template <typename Signed>
SHARDRIFT_INLINE Signed ordered(const Signed& words, const Signed& lowest) {
  return words < 0 ? lowest - words : words;
}

// Eight stored words of a dtype: which differ, and by how many ulps.
struct Stored16 {
  using Words = Int16s;
  static constexpr std::size_t kBytes = 2;
  SHARDRIFT_INLINE static Integers differ(const Words& u, const Words& v) {
    return __builtin_convertvector(u != v, Integers);
  }
  SHARDRIFT_INLINE static Doubles ulps(const Words& u, const Words& v) {
    const Int32s lowest = Int32s{} - 0x8000;
    const Int32s a = ordered(__builtin_convertvector(u, Int32s), lowest);
    const Int32s b = ordered(__builtin_convertvector(v, Int32s), lowest);
    return magnitude(__builtin_convertvector(b - a, Doubles));
  }
};
struct Stored32 {
  using Words = Int32s;
  static constexpr std::size_t kBytes = 4;
  SHARDRIFT_INLINE static Integers differ(const Words& u, const Words& v) {
    return __builtin_convertvector(u != v, Integers);
  }
  SHARDRIFT_INLINE static Doubles ulps(const Words& u, const Words& v) {
    const Int32s lowest = Int32s{} + std::numeric_limits<std::int32_t>::min();
    // Subtracted as float64, exactly: between numbers of opposite signs lie more than int32 counts.
    return magnitude(__builtin_convertvector(ordered(v, lowest), Doubles) -
                     __builtin_convertvector(ordered(u, lowest), Doubles));
  }
};
struct Stored64 {
  using Words = Integers;
  using Unsigned __attribute__((vector_size(64))) = std::uint64_t;
  static constexpr std::size_t kBytes = 8;
  SHARDRIFT_INLINE static Integers differ(const Words& u, const Words& v) { return u != v; }
  SHARDRIFT_INLINE static Doubles ulps(const Words& u, const Words& v) {
    const Integers lowest = Integers{} + std::numeric_limits<std::int64_t>::min();
    const Integers a = ordered(u, lowest);
    const Integers b = ordered(v, lowest);
    // Unsigned: between float64 of opposite signs lie up to 2^64 numbers.
    const Unsigned distance = b > a ? (Unsigned)b - (Unsigned)a : (Unsigned)a - (Unsigned)b;
    return __builtin_convertvector(distance, Doubles);
  }
};

struct Sums {
  Integers differ{};
  Integers without{};
  Doubles max_abs{};
  Doubles abs{};
  Doubles square{};
  Doubles max_ulp{};
  Doubles ulp{};
};

// Masks are all ones or zeros, so that `and` keeps a number or makes it 0.
SHARDRIFT_INLINE Doubles where(const Integers& mask, const Doubles& value) {
  return (Doubles)(mask & (Integers)value);
}

SHARDRIFT_INLINE Integers same_number(const Doubles& x, const Doubles& y) {
  return (x == y) | ((x != x) & (y != y));
}

SHARDRIFT_INLINE void add_values(Sums& sums, const Doubles& x, const Doubles& y, const Integers& same) {
  const Doubles difference = where(~same, magnitude(y - x));
  const Integers finite = difference <= kLargest;  // false for NaN
  const Doubles counted = where(finite, difference);
  sums.max_abs = larger(counted, sums.max_abs);
  sums.abs += counted;
  sums.square += counted * counted;
  sums.without += ~finite;
}

template <typename Stored>
SHARDRIFT_INLINE void add_words(Sums& sums, const typename Stored::Words& u, const typename Stored::Words& v,
                                const Doubles& x, const Doubles& y) {
  const Integers same = same_number(x, y);
  add_values(sums, x, y, same);
  const Integers counted = ~same & (magnitude(y - x) <= kLargest);
  const Doubles distance = where(counted, Stored::ulps(u, v));
  sums.max_ulp = larger(distance, sums.max_ulp);
  sums.ulp += distance;
  sums.differ += Stored::differ(u, v);
}

SHARDRIFT_INLINE ValueDifferences total_of(const Sums& sums) {
  return {.elements_differ = count_of(sums.differ),
          .not_finite = count_of(sums.without),
          .max_abs = largest_of(sums.max_abs),
          .sum_abs = sum_of(sums.abs),
          .sum_square = sum_of(sums.square),
          .max_ulp = largest_of(sums.max_ulp),
          .sum_ulp = sum_of(sums.ulp)};
}

template <typename Stored>
SHARDRIFT_INLINE void compare_words(const std::byte* u, const std::byte* v, const double* x, const double* y,
                                    std::size_t count, ValueDifferences& out) {
  using Words = typename Stored::Words;
  Sums sums;
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    add_words<Stored>(sums, load<Words>(u + i * Stored::kBytes), load<Words>(v + i * Stored::kBytes),
                      load<Doubles>(x + i), load<Doubles>(y + i));
  if (i < count) {  // zeros behind the last elements are the same in both
    Words a{};
    Words b{};
    std::memcpy(&a, u + i * Stored::kBytes, (count - i) * Stored::kBytes);
    std::memcpy(&b, v + i * Stored::kBytes, (count - i) * Stored::kBytes);
    add_words<Stored>(sums, a, b, load_some(x + i, count - i, 0), load_some(y + i, count - i, 0));
  }
  out = total_of(sums);
}

SHARDRIFT_CLONES void compare_16(const std::byte* u, const std::byte* v, const double* x, const double* y,
                                 std::size_t count, ValueDifferences& out) {
  compare_words<Stored16>(u, v, x, y, count, out);
}
SHARDRIFT_CLONES void compare_32(const std::byte* u, const std::byte* v, const double* x, const double* y,
                                 std::size_t count, ValueDifferences& out) {
  compare_words<Stored32>(u, v, x, y, count, out);
}
SHARDRIFT_CLONES void compare_64(const std::byte* u, const std::byte* v, const double* x, const double* y,
                                 std::size_t count, ValueDifferences& out) {
  compare_words<Stored64>(u, v, x, y, count, out);
}

SHARDRIFT_CLONES void compare_values(const double* x, const double* y, std::size_t count,
                                     ValueDifferences& out) {
  Sums sums;
  const auto add = [&](const Doubles& a, const Doubles& b) __attribute__((always_inline)) {
    const Integers same = same_number(a, b);
    add_values(sums, a, b, same);
    sums.differ += ~same;
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) add(load<Doubles>(x + i), load<Doubles>(y + i));
  if (i < count) add(load_some(x + i, count - i, 0), load_some(y + i, count - i, 0));
  out = total_of(sums);
}

}  // namespace

ValueDifferences value_differences(DType dtype, const std::byte* x_words, const std::byte* y_words,
                                   std::span<const double> x, std::span<const double> y) {
  ValueDifferences out;
  const std::size_t width = size_of(storage_of(dtype));
  const auto compare = width == 2 ? compare_16 : width == 4 ? compare_32 : compare_64;
  compare(x_words, y_words, x.data(), y.data(), x.size(), out);
  return out;
}

ValueDifferences value_differences(std::span<const double> x, std::span<const double> y) {
  ValueDifferences out;
  compare_values(x.data(), y.data(), x.size(), out);
  return out;
}

}  // namespace shardrift::analysis
