#include "analysis/measure/divergences.hpp"

#include <cmath>

#include "analysis/measure/lanes.hpp"
#include "common/clones.hpp"

// With d = log q - log p, taken from the logits, no term of these sums is negative, and near d = 0 each is a
// series: a divergence of 1e-18 is a number and not the noise of a cancellation.
//
//   KL(p || q)   sum of p (e^d - 1 - d): the p e^d = q sum to 1 as the p do
//   KL(q || p)   sum of q (e^-d - 1 + d)
//   JS           sum of m (h tanh h - log cosh h), m = (p + q) / 2, h = d / 2: what is left of
//                (p log(p/m) + q log(q/m)) / 2 with p = m (1 - tanh h), q = m (1 + tanh h)
//   TV           sum of |q - p| / 2
namespace shardrift::analysis {
namespace {

using namespace lanes;

constexpr double kLog2 = 0x1.62e42fefa39efp-1;
constexpr double kSmall = 0.03125;  // |d| below which the series are used

struct Sums {
  Doubles kl{};
  Doubles kl_reverse{};
  Doubles js{};
  Doubles tv{};
};

struct Terms {  // of one element: p, q and d
  Doubles p;
  Doubles q;
  Doubles d;
};

// The series near d = 0, else the plain form. Written as a choice wherever it is needed: see
// value_differences.
SHARDRIFT_INLINE Doubles near_zero(const Doubles& d, const Doubles& series, const Doubles& plain) {
  return magnitude(d) < kSmall ? series : plain;
}

SHARDRIFT_INLINE void add_directed(Sums& sums, const Terms& t) {
  // (e^d - 1 - d) / (d^2 / 2) = even + odd, (e^-d - 1 + d) / (d^2 / 2) = even - odd; the next terms are below
  // 1e-16 of them
  const Doubles w = t.d * t.d;
  const Doubles even = 1.0 + w * (1.0 / 12.0 + w * (1.0 / 360.0 + w * (1.0 / 20160.0)));
  const Doubles odd = t.d * (1.0 / 3.0 + w * (1.0 / 60.0 + w * (1.0 / 2520.0 + w * (1.0 / 181440.0))));
  const Doubles half = 0.5 * w;
  const Doubles forward = near_zero(t.d, t.p * (half * (even + odd)), (t.q - t.p) - t.p * t.d);
  const Doubles backward = near_zero(t.d, t.q * (half * (even - odd)), (t.p - t.q) + t.q * t.d);
  sums.kl += t.p > 0.0 ? forward : t.q;  // 0 log 0 = 0
  sums.kl_reverse += t.q > 0.0 ? backward : t.p;
}

// 2 s (1 + s^2/3 + s^4/5 + …) = log(1 + r) for s = r / (2 + r); s <= 1/3: 17 terms reach 1e-17.
SHARDRIFT_INLINE Doubles log_from_ratio(const Doubles& s) {
  const Doubles z = s * s;
  const Doubles z2 = z * z;
  const Doubles z4 = z2 * z2;
  const Doubles a = (1.0 + z * (1.0 / 3.0)) + z2 * ((1.0 / 5.0) + z * (1.0 / 7.0));
  const Doubles b = ((1.0 / 9.0) + z * (1.0 / 11.0)) + z2 * ((1.0 / 13.0) + z * (1.0 / 15.0));
  const Doubles c = ((1.0 / 17.0) + z * (1.0 / 19.0)) + z2 * ((1.0 / 21.0) + z * (1.0 / 23.0));
  const Doubles e = ((1.0 / 25.0) + z * (1.0 / 27.0)) + z2 * ((1.0 / 29.0) + z * (1.0 / 31.0));
  return 2.0 * s * (a + z4 * (b + z4 * (c + z4 * (e + z4 * (1.0 / 33.0)))));
}

SHARDRIFT_INLINE void add_symmetric(Sums& sums, const Terms& t) {
  const Doubles difference = magnitude(t.q - t.p);
  const Doubles both = t.p + t.q;
  sums.tv += difference;
  // h tanh h - log cosh h, for small h in u = h^2
  const Doubles u = 0.25 * (t.d * t.d);
  const Doubles series =
      u * (0.5 - u * (1.0 / 4.0 - u * (1.0 / 9.0 - u * (17.0 / 360.0 - u * (31.0 / 1575.0)))));
  // else with r = e^-|d| = least / most: tanh |h| = (1 - r) / (1 + r), log cosh h = |h| + log((1 + r) / 2)
  const Doubles most = larger(t.p, t.q);
  const Doubles least = both - most;
  const Doubles log_part = log_from_ratio(least / (2.0 * most + least));
  const Doubles missing = 2.0 * least / both;  // 1 - tanh |h|
  const Doubles lost = 0.5 * magnitude(t.d) * missing;
  const Doubles large = (kLog2 - log_part) - (missing > 0.0 ? lost : Doubles{});  // d may be infinite there
  const Doubles term = 0.5 * both * near_zero(t.d, series, large);
  sums.js += both > 0.0 ? term : Doubles{};
}

SHARDRIFT_INLINE void add(Sums& sums, const Terms& terms) {
  add_directed(sums, terms);
  add_symmetric(sums, terms);
}

struct Scales {
  double p_top, q_top;
  double p_factor, q_factor;  // 1 / sum
  double log_ratio;           // log(q's sum / p's sum)
};

SHARDRIFT_CLONES void diverge(const double* x, const double* y, const double* x_exp, const double* y_exp,
                              std::size_t count, const Scales& scales, Divergences& out) {
  Sums sums;
  const auto terms = [&](const Doubles& a, const Doubles& b, const Doubles& e, const Doubles& f)
      __attribute__((always_inline)) {
    return Terms{e * scales.p_factor, f * scales.q_factor,
                 ((b - scales.q_top) - (a - scales.p_top)) - scales.log_ratio};
  };
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    add(sums, terms(load<Doubles>(x + i), load<Doubles>(y + i), load<Doubles>(x_exp + i),
                    load<Doubles>(y_exp + i)));
  if (i < count) {
    const std::size_t rest = count - i;  // elements of no probability add nothing
    add(sums, terms(load_some(x + i, rest, 0), load_some(y + i, rest, 0), load_some(x_exp + i, rest, 0),
                    load_some(y_exp + i, rest, 0)));
  }
  out = {sum_of(sums.kl), sum_of(sums.kl_reverse), sum_of(sums.js), 0.5 * sum_of(sums.tv)};
}

}  // namespace

Divergences divergences(const Softmax& p, const Softmax& q) {
  Divergences out;
  diverge(p.row.data(), q.row.data(), p.exps.data(), q.exps.data(), p.row.size(),
          {p.top, q.top, 1.0 / p.sum, 1.0 / q.sum, std::log(q.sum / p.sum)}, out);
  return out;
}

}  // namespace shardrift::analysis
