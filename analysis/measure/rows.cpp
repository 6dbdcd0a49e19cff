#include "analysis/measure/rows.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "analysis/measure/clones.hpp"

namespace shardrift::analysis {
namespace {

constexpr std::size_t kLanes = 8;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <typename Word>
Word load(const std::byte* words, std::size_t i) {
  Word word;
  std::memcpy(&word, words + i * sizeof(Word), sizeof(Word));
  return word;
}

SHARDRIFT_CLONES void widen_bfloat16(const std::byte* words, double* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i)
    out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(words, i)) << 16U);
}

SHARDRIFT_CLONES void widen_float32(const std::byte* words, double* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) out[i] = load<float>(words, i);
}

const std::vector<float>& half_values() {
  static const std::vector<float> values = [] {
    std::vector<float> table(1U << 16U);
    for (std::size_t i = 0; i < table.size(); ++i)
      table[i] = float_from_float16(static_cast<std::uint16_t>(i));
    return table;
  }();
  return values;
}

inline __attribute__((always_inline)) double exp_inline(double x) {
  constexpr double kLog2e = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42fefa39efp-1;
  constexpr double kLn2Low = 0x1.abc9e3b39803fp-56;
  constexpr double kShift = 0x1.8p52;  // adding it leaves the nearest integer in the low bits
  const double bounded = x < -708.0 ? -708.0 : x;
  const double shifted = bounded * kLog2e + kShift;
  const double k = shifted - kShift;
  // k has 10 bits and kLn2High 53, so the product rounds: kLn2High is split to make it exact.
  constexpr double kLn2Top = 0x1.62e42ffp-1;
  constexpr double kLn2Rest = (kLn2High - kLn2Top) + kLn2Low;
  const double r = (bounded - k * kLn2Top) - k * kLn2Rest;
  // Taylor to r^13: |r| <= ln(2)/2, the rest is below 1e-17.
  double p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * (r * r) + r;
  p = p + 1.0;
  const double scale = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) + 1023U) << 52U);
  return x < -708.0 ? 0.0 : p * scale;
}

double sum_of(const std::array<double, kLanes>& lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

SHARDRIFT_CLONES double largest(const double* row, std::size_t count) {
  std::array<double, kLanes> best;
  best.fill(-kInfinity);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      best[lane] = row[i + lane] > best[lane] ? row[i + lane] : best[lane];
  for (; i < count; ++i) best[0] = row[i] > best[0] ? row[i] : best[0];
  double result = -kInfinity;
  for (const double value : best) result = value > result ? value : result;
  return result;
}

// The largest element below `limit`, and how many are `limit`.
SHARDRIFT_CLONES double runner_up(const double* row, std::size_t count, double limit, std::int64_t& equal) {
  std::array<double, kLanes> best;
  std::array<std::int64_t, kLanes> same{};
  best.fill(-kInfinity);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = row[i + lane];
      const double below = value < limit ? value : -kInfinity;
      best[lane] = below > best[lane] ? below : best[lane];
      same[lane] += value == limit ? 1 : 0;
    }
  for (; i < count; ++i) {
    if (row[i] < limit && row[i] > best[0]) best[0] = row[i];
    same[0] += row[i] == limit ? 1 : 0;
  }
  double result = -kInfinity;
  for (const double value : best) result = value > result ? value : result;
  equal = 0;
  for (const std::int64_t value : same) equal += value;
  return result;
}

SHARDRIFT_CLONES double exp_all(const double* row, std::size_t count, double top, double* out) {
  std::array<double, kLanes> sums{};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      out[i + lane] = exp_inline(row[i + lane] - top);
      sums[lane] += out[i + lane];
    }
  for (; i < count; ++i) {
    out[i] = exp_inline(row[i] - top);
    sums[0] += out[i];
  }
  return sum_of(sums);
}

}  // namespace

void widen(DType dtype, const std::byte* words, std::span<double> out) {
  switch (storage_of(dtype)) {
    case DType::float64:
      std::memcpy(out.data(), words, out.size_bytes());
      return;
    case DType::bfloat16:
      widen_bfloat16(words, out.data(), out.size());
      return;
    case DType::float16: {
      const std::vector<float>& values = half_values();
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = values[load<std::uint16_t>(words, i)];
      return;
    }
    default:
      widen_float32(words, out.data(), out.size());
      return;
  }
}

Top top_of(std::span<const double> row) {
  Top top;
  top.value = largest(row.data(), row.size());
  const double second = runner_up(row.data(), row.size(), top.value, top.count);
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i] == top.value) {
      top.id = static_cast<std::int64_t>(i);
      break;
    }
  top.margin = top.count > 1 ? 0.0 : top.value - second;
  return top;
}

double exp_nonpositive(double x) {
  return exp_inline(x);
}

double exp_row(std::span<const double> row, double top, std::span<double> out) {
  return exp_all(row.data(), row.size(), top, out.data());
}

double probability(std::span<const double> row, std::int64_t id) {
  const double top = largest(row.data(), row.size());
  std::vector<double> scratch(row.size());
  return scratch.empty() ? 0.0
                         : exp_inline(row[static_cast<std::size_t>(id)] - top) / exp_row(row, top, scratch);
}

}  // namespace shardrift::analysis
