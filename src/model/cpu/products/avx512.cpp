// Compiled for AVX-512 (F, BW, DQ, VL).
#include <immintrin.h>

#include "model/cpu/products/product_loops.hpp"

namespace shardrift {
namespace {

struct Singles {
  using Real = float;
  using Vector = __m512;
  static constexpr std::int64_t kStrands = 16;
  static constexpr int kTileRows = 4;  // 24 of the 32 registers are sums
  static constexpr int kTileColumns = 6;

  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  static Vector load(const products::Half* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Vector load(const products::BFloat* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  static void store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
  static Vector fused(Vector a, Vector b, Vector sum) { return _mm512_fmadd_ps(a, b, sum); }

  // Two vectors' strands, halved, in one vector, and so on: each step adds the strands as the order says.
  template <int count>
  __attribute__((always_inline)) static void totals(const Vector* sums, float* to) {
    using products::repeat;
    repeat<(count + 15) / 16>([&](auto group) {
      constexpr int first = group.value * 16;
      constexpr int eights_count = (count - first + 1) / 2 < 8 ? (count - first + 1) / 2 : 8;
      Vector eights[8], fours[4], twos[2];
      repeat<8>([&](auto i) {
        if constexpr (i.value < eights_count) {
          constexpr int at = first + 2 * i.value;
          const Vector a = sums[at];
          const Vector b = at + 1 < count ? sums[at + 1 < count ? at + 1 : at] : zero();
          eights[i.value] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
        } else {
          eights[i.value] = zero();
        }
      });
      repeat<4>([&](auto i) {
        const Vector a = eights[2 * i.value];
        const Vector b = eights[2 * i.value + 1];
        fours[i.value] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
      });
      repeat<2>([&](auto i) {
        const auto a = _mm512_castps_pd(fours[2 * i.value]);
        const auto b = _mm512_castps_pd(fours[2 * i.value + 1]);
        twos[i.value] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                                      _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
      });
      const Vector ones =
          _mm512_add_ps(_mm512_shuffle_ps(twos[0], twos[1], 0x88), _mm512_shuffle_ps(twos[0], twos[1], 0xDD));
      // Element 4 · l + q is the total of vector 4 · q + l.
      const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      store(to + first, _mm512_permutexvar_ps(order, ones));
    });
  }

  static void narrow(const float* from, products::Half* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_cvtps_ph(load(from), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void narrow(const float* from, products::BFloat* to) {
    const Vector value = load(from);
    const __m512i bits = _mm512_castps_si512(value);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF))), 16);
    const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(
                                                            rounded, nan, _mm512_set1_epi32(0x7FC0))));
  }
};

struct Doubles {
  using Real = double;
  using Vector = __m512d;
  static constexpr std::int64_t kStrands = 8;
  static constexpr int kTileRows = 4;
  static constexpr int kTileColumns = 6;

  static Vector zero() { return _mm512_setzero_pd(); }
  static Vector load(const double* from) { return _mm512_loadu_pd(from); }
  static void store(double* to, Vector v) { _mm512_storeu_pd(to, v); }
  static Vector fused(Vector a, Vector b, Vector sum) { return _mm512_fmadd_pd(a, b, sum); }

  template <int count>
  static void totals(const Vector* sums, double* to) {
    for (int i = 0; i < count; ++i) {
      const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(sums[i]), _mm512_extractf64x4_pd(sums[i], 1));
      const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
      to[i] = _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
    }
  }
};

}  // namespace

const ProductKernels& avx512_product_kernels() {
  static const ProductKernels kernels = products::kernels_of<Singles, Doubles>("AVX-512");
  return kernels;
}

}  // namespace shardrift
