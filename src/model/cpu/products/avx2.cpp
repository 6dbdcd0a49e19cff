// Compiled for AVX2, FMA and F16C.
#include <immintrin.h>

#include "model/cpu/products/product_loops.hpp"

namespace shardrift {
namespace {

struct Singles {
  using Real = float;
  struct Vector {  // strands 0 to 7, 8 to 15
    __m256 low, high;
  };
  static constexpr std::int64_t kStrands = 16;
  static constexpr int kTileRows = 2;  // 12 of the 16 registers are sums
  static constexpr int kTileColumns = 3;

  static Vector zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Vector load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
  static __m128i eight(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
  static Vector load(const products::Half* from) {
    return {_mm256_cvtph_ps(eight(from)), _mm256_cvtph_ps(eight(from + 8))};
  }
  static __m256 widened(__m128i bits) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  static Vector load(const products::BFloat* from) {
    return {widened(eight(from)), widened(eight(from + 8))};
  }
  static void store(float* to, Vector v) {
    _mm256_storeu_ps(to, v.low);
    _mm256_storeu_ps(to + 8, v.high);
  }
  static Vector fused(Vector a, Vector b, Vector sum) {
    return {_mm256_fmadd_ps(a.low, b.low, sum.low), _mm256_fmadd_ps(a.high, b.high, sum.high)};
  }

  template <int count>
  static void totals(const Vector* sums, float* to) {
    for (int i = 0; i < count; ++i) {
      const __m256 eights = _mm256_add_ps(sums[i].low, sums[i].high);
      const __m128 fours = _mm_add_ps(_mm256_castps256_ps128(eights), _mm256_extractf128_ps(eights, 1));
      const __m128 twos = _mm_add_ps(fours, _mm_movehl_ps(fours, fours));
      to[i] = _mm_cvtss_f32(_mm_add_ss(twos, _mm_movehdup_ps(twos)));
    }
    for (int i = count; i % 16 != 0; ++i) to[i] = 0;
  }

  static void narrow(const float* from, products::Half* to) {
    for (int i = 0; i < 16; i += 8)
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(to + i),
          _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void narrow(const float* from, products::BFloat* to) {
    for (int i = 0; i < 16; ++i) {
      std::uint32_t bits = 0;
      __builtin_memcpy(&bits, from + i, sizeof bits);
      const bool nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
      to[i].bits = nan ? 0x7FC0 : static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
    }
  }
};

struct Doubles {
  using Real = double;
  struct Vector {
    __m256d low, high;
  };
  static constexpr std::int64_t kStrands = 8;
  static constexpr int kTileRows = 2;
  static constexpr int kTileColumns = 3;

  static Vector zero() { return {_mm256_setzero_pd(), _mm256_setzero_pd()}; }
  static Vector load(const double* from) { return {_mm256_loadu_pd(from), _mm256_loadu_pd(from + 4)}; }
  static void store(double* to, Vector v) {
    _mm256_storeu_pd(to, v.low);
    _mm256_storeu_pd(to + 4, v.high);
  }
  static Vector fused(Vector a, Vector b, Vector sum) {
    return {_mm256_fmadd_pd(a.low, b.low, sum.low), _mm256_fmadd_pd(a.high, b.high, sum.high)};
  }

  template <int count>
  static void totals(const Vector* sums, double* to) {
    for (int i = 0; i < count; ++i) {
      const __m256d four = _mm256_add_pd(sums[i].low, sums[i].high);
      const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
      to[i] = _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
    }
  }
};

}  // namespace

const ProductKernels& avx2_product_kernels() {
  static const ProductKernels kernels = products::kernels_of<Singles, Doubles>("AVX2");
  return kernels;
}

}  // namespace shardrift
