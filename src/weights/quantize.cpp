#include "weights/quantize.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "common/clones.hpp"
#include "common/error.hpp"

namespace shardrift {
namespace {

constexpr std::int64_t kGroup = kScaleColumns;  // of one scale (int4, nf4); a row's last group may be shorter
constexpr std::int64_t kBlock = 128;            // rows and columns of one scale (fp8-block)

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

// Midpoints of NF4's values, which belong to the lower code.
constexpr auto kMidpoints = [] {
  std::array<float, kNormalFloat.size() - 1> midpoints{};
  for (std::size_t i = 0; i < midpoints.size(); ++i)
    midpoints[i] = (kNormalFloat[i] + kNormalFloat[i + 1]) / 2;
  return midpoints;
}();

// What bitsandbytes does: a whole group is multiplied by 1 / absmax, the shorter last one divided by absmax.
// Returns the scale.
SHARDRIFT_CLONES float to_normal_float(float* values, std::int64_t count, float largest) {
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
  return scale;
}

// Values of one scale, which is returned, that stand side by side; `largest`: of all that share it.
float quantize_run(Quantization kind, float* values, std::int64_t count, float largest) {
  if (kind == Quantization::nf4) return to_normal_float(values, count, largest);
  const float most = kind == Quantization::int8 ? kInt8Max : kind == Quantization::int4 ? kInt4Max : kE4m3Max;
  const float scale = largest / most;
  if (scale == 0)
    std::fill_n(values, count, 0.0F);  // zeros, or magnitudes that have no scale
  else if (most == kE4m3Max)
    to_e4m3(values, count, scale);
  else
    to_integers(values, count, scale, most);
  return scale;
}

void quantize_row(Quantization kind, float* row, std::int64_t cols, float* scales) {
  for (std::int64_t begin = 0; begin < cols;) {
    const std::int64_t count = has_row_scales(kind) ? cols : std::min(kGroup, cols - begin);
    const float scale = quantize_run(kind, row + begin, count, largest_magnitude(row + begin, count));
    if (scales != nullptr) *scales++ = scale;
    begin += count;
  }
}

void quantize_blocks(Quantization kind, std::span<float> values, std::int64_t cols, float* scales) {
  const std::int64_t of_row = scales_of_row(kind, cols);
  const std::int64_t rows = static_cast<std::int64_t>(values.size()) / cols;
  for (std::int64_t top = 0; top < rows; top += kBlock) {
    const std::int64_t bottom = std::min(rows, top + kBlock);
    for (std::int64_t left = 0; left < cols; left += kBlock) {
      const std::int64_t width = std::min(kBlock, cols - left);
      float largest = 0;
      for (std::int64_t row = top; row < bottom; ++row)
        largest = std::max(largest, largest_magnitude(values.data() + row * cols + left, width));
      for (std::int64_t row = top; row < bottom; ++row) {
        const float scale = quantize_run(kind, values.data() + row * cols + left, width, largest);
        if (scales != nullptr)
          std::fill_n(scales + row * of_row + left / kScaleColumns, scales_of_row(kind, width), scale);
      }
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

bool has_row_scales(Quantization kind) {
  return kind == Quantization::int8 || kind == Quantization::fp8;
}

std::int64_t scales_of_row(Quantization kind, std::int64_t cols) {
  return has_row_scales(kind) ? 1 : (cols + kScaleColumns - 1) / kScaleColumns;
}

void quantize_rows(Quantization kind, std::span<float> values, std::int64_t cols, float* scales) {
  if (kind == Quantization::none || values.empty()) return;
  if (kind == Quantization::fp8_block) return quantize_blocks(kind, values, cols, scales);
  for (std::size_t begin = 0; begin < values.size(); begin += static_cast<std::size_t>(cols)) {
    quantize_row(kind, values.data() + begin, cols, scales);
    if (scales != nullptr) scales += scales_of_row(kind, cols);
  }
}

}  // namespace shardrift
