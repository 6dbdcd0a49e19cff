// The loops of a product, over the lanes of one instruction set. Compiled once for each (avx512.cpp, …), with
// other flags each time: nothing here may be code that several of them share, so there is no function but
// templates over a type of that file, and nothing of the standard library that could stay a function.
//
// Lanes<Real> has: Vector, kStrands of Real; kTileRows, kTileColumns; zero(), load(const T*) of each stored
// type T, fused(a, b, sum), and totals<count>(const Vector*, Real*), which adds up the strands of `count`
// vectors; `narrow(const float*, T*)` rounds kStrands sums to a 16-bit type.
#pragma once
#include <cstdint>

#include "model/cpu/products/product_kernels.hpp"

namespace shardrift::products {

// Elements as they are stored.
struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};

// body(Index<0>), body(Index<1>), …: for arrays that are to stay in registers, whose indices the compiler has
// to know before it unrolls any loop.
template <int i>
struct Index {
  static constexpr int value = i;
};
template <int count, int from = 0, typename Body>
__attribute__((always_inline)) inline void repeat(const Body& body) {
  if constexpr (from < count) {
    body(Index<from>{});
    repeat<count, from + 1>(body);
  }
}

// Multiplies elements T, whose sums are L's Real, into elements Out.
template <typename L, typename T, typename Out>
struct Product {
  using Real = typename L::Real;
  using Vector = typename L::Vector;
  static constexpr std::int64_t kStrands = L::kStrands;
  static constexpr int kRows = L::kTileRows;
  static constexpr int kColumns = L::kTileColumns;
  // Sizes by caches: rows of x that stay in the second level while all columns go by, and the part of K whose
  // columns of a tile stay in the first while all those rows go by.
  static constexpr std::int64_t kBlockBytes = 1 << 20;
  static constexpr std::int64_t kBlockSteps = 1024 / kStrands;

  static std::int64_t steps_of(std::int64_t k) { return (k + kStrands - 1) / kStrands; }

  // Up to kStrands elements, zeros after them.
  template <typename From>
  static Vector load_tail(const From* from, std::int64_t count) {
    From filled[kStrands] = {};
    for (std::int64_t i = 0; i < count; ++i) filled[i] = from[i];
    return L::load(filled);
  }

  // Steps [begin, end) of a row of k elements, widened, each `stride` numbers after the one before. `ahead`:
  // from an element to what is read next of its kind.
  static void widen(const T* row, std::int64_t k, std::int64_t begin, std::int64_t end, Real* to,
                    std::int64_t stride, std::int64_t ahead) {
    for (std::int64_t s = begin; s < end; ++s, to += stride) {
      const T* at = row + s * kStrands;
      __builtin_prefetch(at + ahead, 0, 2);
      const std::int64_t rest = k - s * kStrands;
      L::store(to, rest >= kStrands ? L::load(at) : load_tail(at, rest));
    }
  }

  // Blocks of kRows rows (the last may have fewer), one after the other; in a block kStrands elements of each
  // row in turn: a tile reads them front to back.
  static void pack(const void* x, std::int64_t begin, std::int64_t end, std::int64_t k, void* packed) {
    const std::int64_t steps = steps_of(k);
    for (std::int64_t first = begin; first < end; first += kRows) {
      const std::int64_t rows = end - first < kRows ? end - first : kRows;
      Real* to = static_cast<Real*>(packed) + first * steps * kStrands;
      for (std::int64_t r = 0; r < rows; ++r)
        widen(static_cast<const T*>(x) + (first + r) * k, k, 0, steps, to + r * kStrands, rows * kStrands,
              rows * k);
    }
  }

  template <int R, int N>
  static void round_and_store(const Vector* sums, Out* out, std::int64_t columns) {
    constexpr int kFilled = (R * N + int(kStrands) - 1) / int(kStrands) * int(kStrands);
    alignas(64) Real totals[kFilled];
    L::template totals<R * N>(sums, totals);
    if constexpr (sizeof(Out) == sizeof(Real)) {
      for (int r = 0; r < R; ++r) __builtin_memcpy(out + r * columns, totals + r * N, N * sizeof(Out));
    } else {
      Out narrow[kFilled];
      for (int i = 0; i < kFilled; i += int(kStrands)) L::narrow(totals + i, narrow + i);
      for (int r = 0; r < R; ++r) __builtin_memcpy(out + r * columns, narrow + r * N, N * sizeof(Out));
    }
  }

  // sums += R numbers at x times N columns, of which column(n) has the strands.
  template <int R, int N, typename Column>
  __attribute__((always_inline)) static void add_step(const Real* x, Vector* sums, const Column& column) {
    Vector rows[R];
    repeat<R>([&](auto r) { rows[r.value] = L::load(x + r.value * kStrands); });
    repeat<N>([&](auto n) {
      const Vector strands = column(n);
      repeat<R>([&](auto r) {
        Vector& sum = sums[r.value * N + n.value];
        sum = L::fused(rows[r.value], strands, sum);
      });
    });
  }

  // R rows of x times N rows of weight as they lie in memory, over all of K.
  template <int R, int N>
  static void tile(const Real* x, const T* weight, std::int64_t k, Out* out, std::int64_t columns) {
    Vector sums[R * N];
    repeat<R * N>([&](auto i) { sums[i.value] = L::zero(); });
    const std::int64_t full = k / kStrands;
    for (std::int64_t s = 0; s < full; ++s)
      add_step<R, N>(x + s * R * kStrands, sums, [&](auto n) {
        const T* at = weight + n.value * k + s * kStrands;
        __builtin_prefetch(at + N * k, 0, 2);  // of the next tile
        return L::load(at);
      });
    if (const std::int64_t rest = k - full * kStrands; rest > 0)
      add_step<R, N>(x + full * R * kStrands, sums,
                     [&](auto n) { return load_tail(weight + n.value * k + full * kStrands, rest); });
    round_and_store<R, N>(sums, out, columns);
  }

  // The same over some steps of K, of weights laid out as x is. Sums come from and go to `carried`, but for
  // the first steps (begins) and the last (ends).
  template <int R, int N>
  static void tile(const Real* x, const Real* weight, std::int64_t steps, Vector* carried, bool begins,
                   bool ends, Out* out, std::int64_t columns) {
    Vector sums[R * N];
    repeat<R * N>([&](auto i) { sums[i.value] = begins ? L::zero() : carried[i.value]; });
    for (std::int64_t s = 0; s < steps; ++s)
      add_step<R, N>(x + s * R * kStrands, sums,
                     [&](auto n) { return L::load(weight + (s * N + n.value) * kStrands); });
    if (ends) {
      round_and_store<R, N>(sums, out, columns);
    } else {
      repeat<R * N>([&](auto i) { carried[i.value] = sums[i.value]; });
    }
  }

  // With R = rows, which is at most R.
  template <int R, int N, typename... Arguments>
  static void tile_of(std::int64_t rows, Arguments... arguments) {
    if constexpr (R > 1)
      if (rows < R) return tile_of<R - 1, N>(rows, arguments...);
    tile<R, N>(arguments...);
  }

  // N columns from column n on, of rows [first, last) of x. More than one tile of rows: the weights are
  // widened and laid side by side once for all of them.
  template <int N>
  static void columns_tile(const ProductPart& part, std::int64_t n, std::int64_t first, std::int64_t last) {
    const std::int64_t steps = steps_of(part.k);
    const auto* x = static_cast<const Real*>(part.x) + first * steps * kStrands;
    const T* weight = static_cast<const T*>(part.weight) + n * part.k;
    Out* out = static_cast<Out*>(part.out) + first * part.columns + n;
    const std::int64_t rows = last - first;
    if (rows <= kRows) return tile_of<kRows, N>(rows, x, weight, part.k, out, part.columns);
    auto* wide = static_cast<Real*>(part.scratch);
    auto* carried = reinterpret_cast<Vector*>(wide + kBlockSteps * kColumns * kStrands);
    for (std::int64_t begin = 0; begin < steps; begin += kBlockSteps) {
      const std::int64_t end = steps - begin < kBlockSteps ? steps : begin + kBlockSteps;
      for (int i = 0; i < N; ++i)
        widen(weight + i * part.k, part.k, begin, end, wide + i * kStrands, N * kStrands, N * part.k);
      for (std::int64_t r = 0; r < rows; r += kRows) {
        const std::int64_t these = rows - r < kRows ? rows - r : kRows;
        tile_of<kRows, N>(these, x + (r * steps + these * begin) * kStrands, static_cast<const Real*>(wide),
                          end - begin, carried + r * N, begin == 0, end == steps, out + r * part.columns,
                          part.columns);
      }
    }
  }

  static std::int64_t block_rows(std::int64_t k) {
    const std::int64_t fit = kBlockBytes / (steps_of(k) * std::int64_t(sizeof(Vector))) / kRows * kRows;
    return fit < 8 * kRows ? 8 * kRows : fit;
  }

  static std::int64_t scratch_bytes(std::int64_t k) {
    return kColumns * (kBlockSteps + block_rows(k)) * std::int64_t(sizeof(Vector));
  }

  static void multiply(const ProductPart& part) {
    const std::int64_t block = block_rows(part.k);
    for (std::int64_t first = 0; first < part.rows; first += block) {
      const std::int64_t last = part.rows - first < block ? part.rows : first + block;
      std::int64_t n = part.begin;
      for (; n + kColumns <= part.end; n += kColumns) columns_tile<kColumns>(part, n, first, last);
      for (; n < part.end; ++n) columns_tile<1>(part, n, first, last);
    }
  }
};

template <typename L, typename T>
ProductKernel kernel_of() {
  using Same = Product<L, T, T>;
  ProductKernel kernel{L::kStrands, L::kTileRows,   L::kTileColumns, Same::scratch_bytes,
                       Same::pack,  Same::multiply, nullptr};
  if constexpr (sizeof(T) < sizeof(float)) kernel.multiply_wide = Product<L, T, float>::multiply;
  return kernel;
}

// Singles sum in float, Doubles in double.
template <typename Singles, typename Doubles>
ProductKernels kernels_of(const char* name) {
  return {name, kernel_of<Doubles, double>(), kernel_of<Singles, float>(), kernel_of<Singles, Half>(),
          kernel_of<Singles, BFloat>()};
}

}  // namespace shardrift::products
