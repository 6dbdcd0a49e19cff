// For any CPU, one without FMA too: right, not fast.
#include <bit>
#include <cmath>

#include "common/dtype.hpp"
#include "model/cpu/products/product_loops.hpp"

namespace shardrift {
namespace {

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
float fused(float a, float b, float sum) {
  return __builtin_fmaf(a, b, sum);
}
#else
// a · b + sum, rounded once. The product is exact in float64; their sum is rounded there to odd, which leaves
// the second rounding, to float32, what it would be of the exact sum (Boldo and Melquiond 2008).
float fused(float a, float b, float sum) {
  const double product = static_cast<double>(a) * b;
  const double wide = static_cast<double>(sum);
  const double total = product + wide;
  const double back = total - product;
  const double error = (product - (total - back)) + (wide - back);  // of total, exactly (Knuth's two-sum)
  auto bits = std::bit_cast<std::uint64_t>(total);
  const bool inexact = error < 0 || error > 0;  // false too where an infinity made error NaN
  if (inexact && (bits & 1) == 0) bits += (error > 0) == (total > 0) ? 1 : -1;
  return static_cast<float>(std::bit_cast<double>(bits));
}
#endif
double fused(double a, double b, double sum) {
  return std::fma(a, b, sum);
}

template <typename Number, int strands>
struct Lanes {
  using Real = Number;
  struct Vector {
    Real lanes[strands];
  };
  static constexpr std::int64_t kStrands = strands;
  static constexpr int kTileRows = 1;
  static constexpr int kTileColumns = 1;

  static Vector zero() { return {}; }
  static Real real(Real value) { return value; }
  static Real real(products::Half value) { return float_from_float16(value.bits); }
  static Real real(products::BFloat value) { return float_from_bfloat16(value.bits); }
  template <typename T>
  static Vector load(const T* from) {
    Vector v;
    for (int i = 0; i < strands; ++i) v.lanes[i] = real(from[i]);
    return v;
  }
  static void store(Real* to, const Vector& v) {
    for (int i = 0; i < strands; ++i) to[i] = v.lanes[i];
  }
  static Vector fused(const Vector& a, const Vector& b, const Vector& sum) {
    Vector v;
    for (int i = 0; i < strands; ++i) v.lanes[i] = shardrift::fused(a.lanes[i], b.lanes[i], sum.lanes[i]);
    return v;
  }
  template <int count>
  static void totals(const Vector* sums, Real* to) {
    for (int i = 0; i < count; ++i) {
      Vector v = sums[i];
      for (int width = strands / 2; width > 0; width /= 2)
        for (int lane = 0; lane < width; ++lane) v.lanes[lane] += v.lanes[lane + width];
      to[i] = v.lanes[0];
    }
    for (int i = count; i % strands != 0; ++i) to[i] = 0;
  }
  static void narrow(const float* from, products::Half* to) {
    for (int i = 0; i < strands; ++i) to[i].bits = float16_from_float(from[i]);
  }
  static void narrow(const float* from, products::BFloat* to) {
    for (int i = 0; i < strands; ++i) to[i].bits = bfloat16_from_float(from[i]);
  }
};

}  // namespace

const ProductKernels& portable_product_kernels() {
  static const ProductKernels kernels = products::kernels_of<Lanes<float, 16>, Lanes<double, 8>>("portable");
  return kernels;
}

}  // namespace shardrift
