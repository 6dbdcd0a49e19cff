// Eight float64 lanes, as GCC's and Clang's vector type: element i of a row goes to lane i mod 8 on every
// machine, so sums have one fixed order whatever the processor. One AVX-512 register, two of AVX2, four of
// SSE2: functions marked SHARDRIFT_CLONES are compiled for each, and nothing is fused, so all give the same
// bits. Everything here is inlined into its caller, whose instruction set it takes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace shardrift::analysis::lanes {

inline constexpr std::size_t kLanes = 8;
#define SHARDRIFT_INLINE inline __attribute__((always_inline))

using Doubles __attribute__((vector_size(64))) = double;
using Integers __attribute__((vector_size(64))) = std::int64_t;

SHARDRIFT_INLINE Doubles all(double value) {
  return Doubles{} + value;
}

template <typename Vector>
SHARDRIFT_INLINE Vector load(const void* from) {
  Vector out;
  std::memcpy(&out, from, sizeof(Vector));
  return out;
}
SHARDRIFT_INLINE void store(double* to, const Doubles& value) {
  std::memcpy(to, &value, sizeof(value));
}

// The last elements of a row, `fill` behind them.
SHARDRIFT_INLINE Doubles load_some(const double* from, std::size_t count, double fill) {
  Doubles out = all(fill);
  std::memcpy(&out, from, count * sizeof(double));
  return out;
}

SHARDRIFT_INLINE Doubles magnitude(const Doubles& value) {
  return (Doubles)((Integers)value & std::numeric_limits<std::int64_t>::max());
}
SHARDRIFT_INLINE Doubles larger(const Doubles& a, const Doubles& b) {  // b where either is NaN
  return a > b ? a : b;
}

SHARDRIFT_INLINE double sum_of(const Doubles& v) {
  return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}
SHARDRIFT_INLINE double largest_of(const Doubles& v) {
  double best = v[0];
  for (std::size_t lane = 1; lane < kLanes; ++lane) best = v[lane] > best ? v[lane] : best;
  return best;
}
// e^x for x <= 0, within 2 units in the last place of the true value; 0 below -708, NaN for NaN. Our own,
// because libm's differs from machine to machine and does not vectorise.
SHARDRIFT_INLINE Doubles exp_nonpositive(const Doubles& x) {
  constexpr double kLog2e = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fefa39efp-1;
  constexpr double kLn2Low = 0x1.abc9e3b39803fp-56;
  // k has 10 bits and kLn2High 53, so their product would round: the top half of it is exact.
  constexpr double kLn2Top = 0x1.62e42ffp-1;
  constexpr double kLn2Rest = (kLn2High - kLn2Top) + kLn2Low;
  constexpr double kShift = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  const Doubles bounded = x < -708.0 ? all(-708.0) : x;
  const Doubles shifted = bounded * kLog2e + kShift;
  const Doubles k = shifted - kShift;
  const Doubles r = (bounded - k * kLn2Top) - k * kLn2Rest;
  // Taylor to r^13, |r| <= ln(2)/2: the rest is below 1e-17. In pairs (Estrin): a chain of 13 dependent
  // steps would leave the units idle.
  const Doubles r2 = r * r;
  const Doubles r4 = r2 * r2;
  const Doubles a = (0.5 + r * (1.0 / 6.0)) + r2 * ((1.0 / 24.0) + r * (1.0 / 120.0));
  const Doubles b = ((1.0 / 720.0) + r * (1.0 / 5040.0)) + r2 * ((1.0 / 40320.0) + r * (1.0 / 362880.0));
  const Doubles c =
      ((1.0 / 3628800.0) + r * (1.0 / 39916800.0)) + r2 * ((1.0 / 479001600.0) + r * (1.0 / 6227020800.0));
  const Doubles p = ((a + r4 * (b + r4 * c)) * r2 + r) + 1.0;
  const Doubles scale = (Doubles)(((Integers)shifted + 1023) << 52);
  return x < -708.0 ? Doubles{} : p * scale;
}

}  // namespace shardrift::analysis::lanes
