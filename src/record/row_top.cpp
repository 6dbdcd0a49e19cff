#include "record/row_top.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "common/clones.hpp"
#include "common/number_order.hpp"

namespace shardrift::record {
namespace {

constexpr std::size_t kBlock = 512;          // elements that are looked at together
constexpr std::size_t kFewest = 64;          // more are sorted, fewer inserted
constexpr std::size_t kLanes = 8;            // of the sum: one order on every machine
constexpr double kLowest = -708;             // below, exp is 0 beside the row's largest term, 1
constexpr double kRounds = 0x1.8p52 + 1023;  // added to n: its low bits are then the exponent of 2^n

// exp(x) for kLowest <= x <= 0, to about an ulp: 2^n times the series of what is left, |r| <= ln 2 / 2.
[[gnu::always_inline]] inline double exp_below_1(double x) {
  const double biased = x * 0x1.71547652b82fep0 + kRounds;
  const double n = biased - kRounds;
  const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  // By halves, so that few steps wait for one another.
  const double r2 = r * r;
  const double r4 = r2 * r2;
  const double to_r3 = (1.0 + r) + (0.5 + r * (1.0 / 6)) * r2;
  const double to_r7 = (1.0 / 24 + r * (1.0 / 120)) + (1.0 / 720 + r * (1.0 / 5040)) * r2;
  const double to_r11 = (1.0 / 40320 + r * (1.0 / 362880)) + (1.0 / 3628800 + r * (1.0 / 39916800)) * r2;
  const double to_r13 = 1.0 / 479001600 + r * (1.0 / 6227020800);
  const double sum = (to_r3 + to_r7 * r4) + (to_r11 + to_r13 * r4) * (r4 * r4);
  return sum * std::bit_cast<double>(std::bit_cast<std::uint64_t>(biased) << 52U);
}

// Exact, as the elements are finite: 2^112 moves the exponent of a half to that of a float.
[[gnu::always_inline]] inline double from_half(std::uint16_t word) {
  const auto magnitude = std::bit_cast<float>((word & 0x7FFFU) << 13U) * 0x1p112F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | (word & 0x8000U) << 16U);
}
[[gnu::always_inline]] inline double from_bfloat16(std::uint16_t word) {
  return std::bit_cast<float>(std::uint32_t{word} << 16U);
}
[[gnu::always_inline]] inline double from_float(std::uint32_t word) {
  return std::bit_cast<float>(word);
}
[[gnu::always_inline]] inline double from_double(std::uint64_t word) {
  return std::bit_cast<double>(word);
}

// Adds exp(element - highest) of up to kBlock elements; element i goes to lane i modulo the lanes.
template <typename Word, typename Number>
[[gnu::always_inline]] inline void add_exponentials(const Word* words, std::size_t count, double highest,
                                                    double* lanes, Number&& number) {
  // In steps, each of which is compiled to plain vectors.
  std::array<double, kBlock> terms;
  for (std::size_t i = 0; i < count; ++i) terms[i] = std::max(number(words[i]) - highest, kLowest);
  for (std::size_t i = 0; i < count; ++i) terms[i] = exp_below_1(terms[i]);
  const std::size_t end = (count + kLanes - 1) / kLanes * kLanes;
  std::fill(terms.begin() + static_cast<std::ptrdiff_t>(count),
            terms.begin() + static_cast<std::ptrdiff_t>(end), 0.0);
  for (std::size_t i = 0; i < end; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += terms[i + lane];
}

SHARDRIFT_CLONES void add_half(const std::uint16_t* words, std::size_t count, double highest, double* lanes) {
  add_exponentials(words, count, highest, lanes, from_half);
}
SHARDRIFT_CLONES void add_bfloat16(const std::uint16_t* words, std::size_t count, double highest,
                                   double* lanes) {
  add_exponentials(words, count, highest, lanes, from_bfloat16);
}
SHARDRIFT_CLONES void add_float(const std::uint32_t* words, std::size_t count, double highest,
                                double* lanes) {
  add_exponentials(words, count, highest, lanes, from_float);
}
SHARDRIFT_CLONES void add_double(const std::uint64_t* words, std::size_t count, double highest,
                                 double* lanes) {
  add_exponentials(words, count, highest, lanes, from_double);
}

// The keys of a block, and the largest of them.
template <typename Signed>
[[gnu::always_inline]] inline Signed keys_of(const Signed* words, std::size_t count, Signed* keys) {
  Signed highest = std::numeric_limits<Signed>::min();
  for (std::size_t i = 0; i < count; ++i) {
    const Signed key = same_zeros(ordered(words[i]));
    keys[i] = key;
    highest = key > highest ? key : highest;
  }
  return highest;
}
SHARDRIFT_CLONES std::int16_t keys16(const std::int16_t* words, std::size_t count, std::int16_t* keys) {
  return keys_of(words, count, keys);
}
SHARDRIFT_CLONES std::int32_t keys32(const std::int32_t* words, std::size_t count, std::int32_t* keys) {
  return keys_of(words, count, keys);
}
SHARDRIFT_CLONES std::int64_t keys64(const std::int64_t* words, std::size_t count, std::int64_t* keys) {
  return keys_of(words, count, keys);
}

// Calls visit(first element, words, count) for blocks; unaligned ones are copied.
template <typename Word, typename Visit>
void in_blocks(std::span<const std::byte> row, Visit&& visit) {
  const std::size_t count = row.size() / sizeof(Word);
  const bool aligned = reinterpret_cast<std::uintptr_t>(row.data()) % alignof(Word) == 0;
  std::array<Word, kBlock> words;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t size = std::min(kBlock, count - begin);
    const std::byte* const block = row.data() + begin * sizeof(Word);
    if (!aligned) std::memcpy(words.data(), block, size * sizeof(Word));
    visit(begin, aligned ? reinterpret_cast<const Word*>(block) : words.data(), size);
  }
}

template <typename Signed, typename Keys>
void largest(std::span<const std::byte> row, Keys&& keys_of_block, std::span<std::int32_t> ids) {
  std::array<Signed, kBlock> keys;
  if (ids.size() > kFewest) {
    std::vector<Signed> all(row.size() / sizeof(Signed));
    in_blocks<Signed>(row, [&](std::size_t begin, const Signed* words, std::size_t count) {
      keys_of_block(words, count, all.data() + begin);
    });
    std::vector<std::int32_t> order(all.size());
    std::iota(order.begin(), order.end(), 0);
    const auto last = order.begin() + static_cast<std::ptrdiff_t>(ids.size());
    std::partial_sort(order.begin(), last, order.end(), [&](std::int32_t a, std::int32_t b) {
      const Signed x = all[static_cast<std::size_t>(a)];
      const Signed y = all[static_cast<std::size_t>(b)];
      return x != y ? x > y : a < b;
    });
    std::copy(order.begin(), last, ids.begin());
    return;
  }
  std::array<Signed, kFewest> best;  // of ids
  std::size_t found = 0;
  in_blocks<Signed>(row, [&](std::size_t begin, const Signed* words, std::size_t count) {
    const Signed highest = keys_of_block(words, count, keys.data());
    if (found == ids.size() && highest <= best[found - 1]) return;  // a tie goes to the lower id
    for (std::size_t i = 0; i < count; ++i) {
      if (found == ids.size() && keys[i] <= best[found - 1]) continue;
      std::size_t at = found < ids.size() ? found++ : found - 1;
      for (; at > 0 && best[at - 1] < keys[i]; --at) {
        best[at] = best[at - 1];
        ids[at] = ids[at - 1];
      }
      best[at] = keys[i];
      ids[at] = static_cast<std::int32_t>(begin + i);
    }
  });
}

template <typename Word, typename Keys, typename Number, typename Add>
void top(std::span<const std::byte> row, Keys&& keys, Number&& number, Add&& add, std::span<std::int32_t> ids,
         std::span<float> log_probabilities) {
  if (ids.empty()) return;
  largest<std::make_signed_t<Word>>(row, keys, ids);
  const auto value = [&](std::int32_t id) {
    Word word = 0;
    std::memcpy(&word, row.data() + static_cast<std::size_t>(id) * sizeof(Word), sizeof(Word));
    return number(word);
  };
  const double highest = value(ids[0]);
  std::array<double, kLanes> lanes{};
  in_blocks<Word>(row, [&](std::size_t, const Word* words, std::size_t count) {
    add(words, count, highest, lanes.data());
  });
  const double log_sum = highest + std::log(std::accumulate(lanes.begin(), lanes.end(), 0.0));
  for (std::size_t i = 0; i < ids.size(); ++i)
    log_probabilities[i] = static_cast<float>(value(ids[i]) - log_sum);
}

}  // namespace

void top_of(std::span<const std::byte> row, DType dtype, std::span<std::int32_t> ids,
            std::span<float> log_probabilities) {
  switch (storage_of(dtype)) {
    case DType::float64:
      return top<std::uint64_t>(row, keys64, from_double, add_double, ids, log_probabilities);
    case DType::float16:
      return top<std::uint16_t>(row, keys16, from_half, add_half, ids, log_probabilities);
    case DType::bfloat16:
      return top<std::uint16_t>(row, keys16, from_bfloat16, add_bfloat16, ids, log_probabilities);
    default:
      return top<std::uint32_t>(row, keys32, from_float, add_float, ids, log_probabilities);
  }
}

}  // namespace shardrift::record
