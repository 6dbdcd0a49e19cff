#include "analysis/measure/value_differences.hpp"

#include <cmath>

#include "analysis/measure/lanes.hpp"
#include "common/clones.hpp"

namespace shardrift::analysis {
namespace {

using namespace lanes;

constexpr double kLargest = std::numeric_limits<double>::max();

using Int16s __attribute__((vector_size(16))) = std::int16_t;
using Int32s __attribute__((vector_size(32))) = std::int32_t;
using Unsigned32s __attribute__((vector_size(32))) = std::uint32_t;

// Words as integers in the order of the numbers they stand for, both zeros 0: neighbours differ by 1.
// Negated as unsigned: lanes that are not chosen are computed too, and may run over.
template <typename Unsigned, typename Signed>
SHARDRIFT_INLINE Signed ordered(const Signed& words, const Signed& lowest) {
  return words < 0 ? (Signed)((Unsigned)lowest - (Unsigned)words) : words;
}

// Eight stored words of a dtype: which differ (1 or 0 in lanes of `Counts`), and by how many ulps.
struct Stored16 {
  using Words = Int16s;
  using Counts = Int32s;
  static constexpr std::size_t kBytes = 2;
  SHARDRIFT_INLINE static Counts differ(const Words& u, const Words& v) {
    return __builtin_convertvector(u, Int32s) == __builtin_convertvector(v, Int32s) ? Counts{} : Counts{} + 1;
  }
  SHARDRIFT_INLINE static Doubles ulps(const Words& u, const Words& v) {
    const Int32s lowest = Int32s{} - 0x8000;
    const Int32s a = ordered<Unsigned32s>(__builtin_convertvector(u, Int32s), lowest);
    const Int32s b = ordered<Unsigned32s>(__builtin_convertvector(v, Int32s), lowest);
    return magnitude(__builtin_convertvector(b - a, Doubles));
  }
};
struct Stored32 {
  using Words = Int32s;
  using Counts = Int32s;
  static constexpr std::size_t kBytes = 4;
  SHARDRIFT_INLINE static Counts differ(const Words& u, const Words& v) {
    return u == v ? Counts{} : Counts{} + 1;
  }
  SHARDRIFT_INLINE static Doubles ulps(const Words& u, const Words& v) {
    const Int32s lowest = Int32s{} + std::numeric_limits<std::int32_t>::min();
    // Subtracted as float64, exactly: between numbers of opposite signs lie more than int32 counts.
    return magnitude(__builtin_convertvector(ordered<Unsigned32s>(v, lowest), Doubles) -
                     __builtin_convertvector(ordered<Unsigned32s>(u, lowest), Doubles));
  }
};
struct Stored64 {
  using Words = Integers;
  using Counts = Integers;
  using Unsigned __attribute__((vector_size(64))) = std::uint64_t;
  static constexpr std::size_t kBytes = 8;
  SHARDRIFT_INLINE static Counts differ(const Words& u, const Words& v) {
    return u == v ? Counts{} : Counts{} + 1;
  }
  SHARDRIFT_INLINE static Doubles ulps(const Words& u, const Words& v) {
    const Integers lowest = Integers{} + std::numeric_limits<std::int64_t>::min();
    const Integers a = ordered<Unsigned>(u, lowest);
    const Integers b = ordered<Unsigned>(v, lowest);
    // Unsigned: between float64 of opposite signs lie up to 2^64 numbers.
    const Unsigned distance = b > a ? (Unsigned)b - (Unsigned)a : (Unsigned)a - (Unsigned)b;
    return __builtin_convertvector(distance, Doubles);
  }
};

// Comparisons are only ever the condition of a choice, and of float64 never == or !=: gcc 12 takes other uses
// apart into scalars.
struct Sums {
  Doubles finite{};  // how many pairs have a finite y - x
  Doubles max_abs{};
  Doubles abs{};
  Doubles square{};
  Doubles max_ulp{};
  Doubles ulp{};
};

SHARDRIFT_INLINE void add_values(Sums& sums, const Doubles& apart) {
  const Doubles counted = apart <= kLargest ? apart : Doubles{};  // false for NaN
  sums.max_abs = larger(counted, sums.max_abs);
  sums.abs += counted;
  sums.square += counted * counted;
  sums.finite += apart <= kLargest ? all(1) : Doubles{};
}

SHARDRIFT_INLINE void add_ulps(Sums& sums, const Doubles& apart, const Doubles& ulps) {
  const Doubles distance = apart <= kLargest ? ulps : Doubles{};
  sums.max_ulp = larger(distance, sums.max_ulp);
  sums.ulp += distance;
}

template <typename Counts>
SHARDRIFT_INLINE std::int64_t total_of(const Counts& counts) {
  std::int64_t total = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) total += counts[lane];
  return total;
}

// Of `padded` pairs, multiples of kLanes.
SHARDRIFT_INLINE ValueDifferences total_of(const Sums& sums, std::size_t padded) {
  return {.elements_differ = 0,
          .not_finite = static_cast<std::int64_t>(padded) - static_cast<std::int64_t>(sum_of(sums.finite)),
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
  typename Stored::Counts differ{};
  const auto add = [&](const Words& a, const Words& b, const Doubles& xs, const Doubles& ys)
      __attribute__((always_inline)) {
    const Doubles apart = magnitude(ys - xs);
    add_values(sums, apart);
    add_ulps(sums, apart, Stored::ulps(a, b));
    differ += Stored::differ(a, b);
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    add(load<Words>(u + i * Stored::kBytes), load<Words>(v + i * Stored::kBytes), load<Doubles>(x + i),
        load<Doubles>(y + i));
  if (i < count) {  // zeros behind the last elements are the same in both
    Words a{};
    Words b{};
    std::memcpy(&a, u + i * Stored::kBytes, (count - i) * Stored::kBytes);
    std::memcpy(&b, v + i * Stored::kBytes, (count - i) * Stored::kBytes);
    add(a, b, load_some(x + i, count - i, 0), load_some(y + i, count - i, 0));
    i += kLanes;
  }
  out = total_of(sums, i);
  out.elements_differ = total_of(differ);
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

// elements_differ: without the pairs that have no finite difference.
SHARDRIFT_CLONES void compare_values(const double* x, const double* y, std::size_t count,
                                     ValueDifferences& out) {
  Sums sums;
  Integers differ{};
  const auto add = [&](const Doubles& a, const Doubles& b) __attribute__((always_inline)) {
    const Doubles apart = magnitude(b - a);
    add_values(sums, apart);
    const Integers is_finite = apart <= kLargest ? Integers{} + 1 : Integers{};
    differ += apart > 0.0 ? is_finite : Integers{};
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) add(load<Doubles>(x + i), load<Doubles>(y + i));
  if (i < count) {
    add(load_some(x + i, count - i, 0), load_some(y + i, count - i, 0));
    i += kLanes;
  }
  out = total_of(sums, i);
  out.elements_differ = total_of(differ);
}

// Rare: pairs without a finite y - x that are one number all the same.
std::int64_t same_but_not_finite(std::span<const double> x, std::span<const double> y) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!(std::fabs(y[i] - x[i]) <= kLargest))
      count += x[i] == y[i] || (std::isnan(x[i]) && std::isnan(y[i])) ? 1 : 0;
  return count;
}

}  // namespace

ValueDifferences value_differences(DType dtype, const std::byte* x_words, const std::byte* y_words,
                                   std::span<const double> x, std::span<const double> y) {
  ValueDifferences out;
  const std::size_t width = size_of(storage_of(dtype));
  const auto compare = width == 2 ? compare_16 : width == 4 ? compare_32 : compare_64;
  compare(x_words, y_words, x.data(), y.data(), x.size(), out);
  if (out.not_finite > 0) out.not_finite -= same_but_not_finite(x, y);
  return out;
}

ValueDifferences value_differences(std::span<const double> x, std::span<const double> y) {
  ValueDifferences out;
  compare_values(x.data(), y.data(), x.size(), out);
  if (out.not_finite > 0) out.not_finite -= same_but_not_finite(x, y);
  out.elements_differ += out.not_finite;
  return out;
}

}  // namespace shardrift::analysis
