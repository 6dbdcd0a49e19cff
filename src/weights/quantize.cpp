#include "weights/quantize.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "common/clones.hpp"
#include "common/error.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kGroup = 64;   // columns of one scale (int4, nf4); a row's last group may be shorter
constexpr std::int64_t kBlock = 128;  // rows and columns of one scale (fp8-block)

constexpr float kInt8Max = 127;
constexpr float kInt4Max = 7;
constexpr float kE4m3Max = 448;

// By bits, which compare as magnitudes do and whose maximum the compiler may take in any order.
SHARDRIFT_CLONES float largest_magnitude(const float* values, std::int64_t count) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i)
    largest = std::max(largest, std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffU);
  return std::bit_cast<float>(largest);
}

// Integers -most to most times the scale, which is not 0.
SHARDRIFT_CLONES void to_integers(float* values, std::int64_t count, float scale, float most) {
  // Added to a number below 2^22 it leaves no bits for a fraction: the sum rounds to an integer, half to
  // even.
  constexpr float kShift = 12582912.0F;  // 1.5 · 2^23
  for (std::int64_t i = 0; i < count; ++i) {
    const float code = ((values[i] / scale) + kShift) - kShift;
    values[i] =
        std::min(std::max(code, -most), most) * scale;  // a subnormal scale may be far from absmax / most
  }
}

// float8 e4m3 (3 bits of fraction, exponents down to 2^-6, no infinity) times the scale, which is not 0;
// saturating.
SHARDRIFT_CLONES void to_e4m3(float* values, std::int64_t count, float scale) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float quotient = values[i] / scale;
    const float magnitude = std::min(std::fabs(quotient), kE4m3Max);
    // As kShift above, for a last place of 2^(exponent - 3): 1.5 · 2^(exponent + 20).
    const std::uint32_t exponent =
        std::max(std::bit_cast<std::uint32_t>(magnitude) & 0x7f800000U, (127U - 6U) << 23U);
    const auto shift = std::bit_cast<float>((exponent + (20U << 23U)) | 0x400000U);
    values[i] = std::copysign((magnitude + shift) - shift, quotient) * scale;
  }
}

// bitsandbytes' NF4: the codes' values, in float32 as there, and the midpoints, which belong to the lower
// code.
constexpr std::array<float, 16> kNormalFloat{
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};
constexpr auto kMidpoints = [] {
  std::array<float, kNormalFloat.size() - 1> midpoints{};
  for (std::size_t i = 0; i < midpoints.size(); ++i)
    midpoints[i] = (kNormalFloat[i] + kNormalFloat[i + 1]) / 2;
  return midpoints;
}();

// What bitsandbytes does: a whole group is multiplied by 1 / absmax, the shorter last one divided by absmax.
SHARDRIFT_CLONES void to_normal_float(float* values, std::int64_t count, float largest) {
  constexpr float kLeast = 1e-38F;
  const bool whole = count == kGroup;
  const float divisor = std::max(largest, kLeast);
  const float inverse = 1.0F / divisor;
  const float scale = whole ? largest : divisor;
  std::array<float, kGroup> scaled{};
  std::array<float, kGroup> nearest{};
  for (std::int64_t i = 0; i < count; ++i)
    scaled[i] = std::min(std::max(whole ? values[i] * inverse : values[i] / divisor, -1.0F), 1.0F);
  nearest.fill(kNormalFloat.front());
  for (std::size_t code = 0; code < kMidpoints.size(); ++code) {
    const float midpoint = kMidpoints[code];
    const float above = kNormalFloat[code + 1];
    for (std::size_t i = 0; i < nearest.size(); ++i) {
      const float before = nearest[i];
      nearest[i] = scaled[i] > midpoint ? above : before;
    }
  }
  for (std::int64_t i = 0; i < count; ++i) values[i] = nearest[i] * scale;
}

// Values of one scale that stand side by side; `largest`: of all that share it.
void quantize_run(Quantization kind, float* values, std::int64_t count, float largest) {
  if (kind == Quantization::nf4) return to_normal_float(values, count, largest);
  const float most = kind == Quantization::int8 ? kInt8Max : kind == Quantization::int4 ? kInt4Max : kE4m3Max;
  const float scale = largest / most;
  if (scale == 0)
    std::fill_n(values, count, 0.0F);  // zeros, or magnitudes that have no scale
  else if (most == kE4m3Max)
    to_e4m3(values, count, scale);
  else
    to_integers(values, count, scale, most);
}

void quantize_row(Quantization kind, float* row, std::int64_t cols) {
  const bool grouped = kind == Quantization::int4 || kind == Quantization::nf4;
  for (std::int64_t begin = 0; begin < cols;) {
    const std::int64_t count = grouped ? std::min(kGroup, cols - begin) : cols;
    quantize_run(kind, row + begin, count, largest_magnitude(row + begin, count));
    begin += count;
  }
}

void quantize_blocks(Quantization kind, std::span<float> values, std::int64_t cols) {
  const std::int64_t rows = static_cast<std::int64_t>(values.size()) / cols;
  for (std::int64_t top = 0; top < rows; top += kBlock) {
    const std::int64_t bottom = std::min(rows, top + kBlock);
    for (std::int64_t left = 0; left < cols; left += kBlock) {
      const std::int64_t width = std::min(kBlock, cols - left);
      float largest = 0;
      for (std::int64_t row = top; row < bottom; ++row)
        largest = std::max(largest, largest_magnitude(values.data() + row * cols + left, width));
      for (std::int64_t row = top; row < bottom; ++row)
        quantize_run(kind, values.data() + row * cols + left, width, largest);
    }
  }
}

}  // namespace

bool is_quantized(Part part) {
  switch (part) {
    case Part::query:
    case Part::key:
    case Part::value:
    case Part::attention_output:
    case Part::gate:
    case Part::up:
    case Part::down:
    case Part::expert_gate:
    case Part::expert_up:
    case Part::expert_down:
      return true;
    default:
      return false;
  }
}

void refuse_quantized_twice(Quantization kind, const std::string& coding, std::string_view flag) {
  if (kind == Quantization::none || coding.empty()) return;
  throw usage_error(
      "{} {}: the checkpoint is quantized already ({}) and would be quantized twice: leave {} out, or take "
      "the checkpoint that it was made from",
      flag, name_of(kind), coding, flag == kQuantizeFlag ? flag : name_of(kind));
}

Range rows_quantized_with(Quantization kind, Range rows, std::int64_t matrix_rows) {
  if (kind != Quantization::fp8_block || rows.empty()) return rows;
  return {rows.begin / kBlock * kBlock, std::min(matrix_rows, (rows.end + kBlock - 1) / kBlock * kBlock)};
}

void quantize_rows(Quantization kind, std::span<float> values, std::int64_t cols) {
  if (kind == Quantization::none || values.empty()) return;
  if (kind == Quantization::fp8_block) return quantize_blocks(kind, values, cols);
  for (std::size_t begin = 0; begin < values.size(); begin += static_cast<std::size_t>(cols))
    quantize_row(kind, values.data() + begin, cols);
}

}  // namespace shardrift
