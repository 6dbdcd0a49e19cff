#include "weights/gguf/gguf_blocks.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <string_view>

#include "common/dtype.hpp"

namespace shardrift {
namespace {

using Bytes = const std::uint8_t*;

float half(Bytes at) {
  return float_from_float16(static_cast<std::uint16_t>(at[0] | (at[1] << 8)));
}

// Each decodes one block and says whether its scales are finite. Products and sums round one by one
// (-ffp-contract=off), as numpy's do.
using Decode = bool (*)(Bytes in, float* out);

bool f32(Bytes in, float* out) {
  std::memcpy(out, in, sizeof *out);
  return true;
}
bool f16(Bytes in, float* out) {
  *out = half(in);
  return true;
}
bool bf16(Bytes in, float* out) {
  *out = float_from_bfloat16(static_cast<std::uint16_t>(in[0] | (in[1] << 8)));
  return true;
}

// 32 numbers whose 4 lower bits lie in 16 bytes: those of the first half below, of the second above.
int low4(Bytes packed, int i) {
  return i < 16 ? packed[i] & 0xF : packed[i - 16] >> 4;
}
int bit_of(Bytes bits, int i) {
  return (bits[i / 8] >> (i % 8)) & 1;
}

bool q4_0(Bytes in, float* out) {
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(low4(in + 2, i) - 8);
  return std::isfinite(d);
}
bool q4_1(Bytes in, float* out) {
  const float d = half(in), m = half(in + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(low4(in + 4, i)) + m;
  return std::isfinite(d) && std::isfinite(m);
}
bool q5_0(Bytes in, float* out) {
  const float d = half(in);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>((low4(in + 6, i) | (bit_of(in + 2, i) << 4)) - 16);
  return std::isfinite(d);
}
bool q5_1(Bytes in, float* out) {
  const float d = half(in), m = half(in + 2);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(low4(in + 8, i) | (bit_of(in + 4, i) << 4)) + m;
  return std::isfinite(d) && std::isfinite(m);
}
bool q8_0(Bytes in, float* out) {
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<std::int8_t>(in[2 + i])) * d;
  return std::isfinite(d);
}

bool iq4_nl(Bytes in, float* out) {
  static constexpr std::array<float, 16> kValues{-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};
  const float d = half(in);
  for (int i = 0; i < 32; ++i) out[i] = d * kValues[static_cast<std::size_t>(low4(in + 2, i))];
  return std::isfinite(d);
}

// The e2m1 values doubled, their power of two halved.
bool mxfp4(Bytes in, float* out) {
  static constexpr std::array<float, 16> kValues{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  const std::uint32_t e = in[0];
  const float d = std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
  for (int i = 0; i < 32; ++i) out[i] = d * kValues[static_cast<std::size_t>(low4(in + 1, i))];
  return e != 255;  // NaN in the format's own definition
}

// 256 numbers in 16 groups: 2 bits each, a scale and a minimum of 4 bits a group.
bool q2_k(Bytes in, float* out) {
  const Bytes scales = in, q = in + 16;
  const float d = half(in + 80), dmin = half(in + 82);
  for (int i = 0; i < 256; ++i) {
    const int scale = scales[i / 16];
    const int value = (q[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2)) & 3;
    out[i] = d * static_cast<float>(scale & 0xF) * static_cast<float>(value) -
             dmin * static_cast<float>(scale >> 4);
  }
  return std::isfinite(d) && std::isfinite(dmin);
}

// 3 bits each, the third (set: nothing is taken off) in a mask of its own; 16 scales of 6 bits.
bool q3_k(Bytes in, float* out) {
  const Bytes mask = in, q = in + 32, scales = in + 96;
  const float d = half(in + 108);
  for (int i = 0; i < 256; ++i) {
    const int group = i / 16;
    const int low = (scales[group % 8] >> (group / 8 * 4)) & 0xF;
    const int high = (scales[8 + group % 4] >> (group / 4 * 2)) & 3;
    const int value = ((q[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2)) & 3) -
                      (((mask[i % 32] >> (i / 32)) & 1) != 0 ? 0 : 4);
    out[i] = d * static_cast<float>((low | (high << 4)) - 32) * static_cast<float>(value);
  }
  return std::isfinite(d);
}

// Scales and minima of Q4_K's and Q5_K's 8 groups, 6 bits each in 12 bytes.
struct GroupScales {
  std::array<float, 8> scale, minimum;
};
GroupScales group_scales(Bytes in, float d, float dmin) {
  GroupScales groups;
  for (std::size_t g = 0; g < 8; ++g) {
    const int scale = g < 4 ? in[g] & 0x3F : (in[g + 4] & 0xF) | ((in[g - 4] >> 2) & 0x30);
    const int minimum = g < 4 ? in[g + 4] & 0x3F : (in[g + 4] >> 4) | ((in[g] >> 2) & 0x30);
    groups.scale[g] = d * static_cast<float>(scale);
    groups.minimum[g] = dmin * static_cast<float>(minimum);
  }
  return groups;
}

bool q4_k(Bytes in, float* out) {
  const float d = half(in), dmin = half(in + 2);
  const auto groups = group_scales(in + 4, d, dmin);
  const Bytes q = in + 16;
  for (int i = 0; i < 256; ++i) {
    const auto g = static_cast<std::size_t>(i / 32);
    const int value = (q[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4)) & 0xF;
    out[i] = groups.scale[g] * static_cast<float>(value) - groups.minimum[g];
  }
  return std::isfinite(d) && std::isfinite(dmin);
}

bool q5_k(Bytes in, float* out) {
  const float d = half(in), dmin = half(in + 2);
  const auto groups = group_scales(in + 4, d, dmin);
  const Bytes high = in + 16, q = in + 48;
  for (int i = 0; i < 256; ++i) {
    const auto g = static_cast<std::size_t>(i / 32);
    const int value =
        ((q[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4)) & 0xF) | (((high[i % 32] >> (i / 32)) & 1) << 4);
    out[i] = groups.scale[g] * static_cast<float>(value) - groups.minimum[g];
  }
  return std::isfinite(d) && std::isfinite(dmin);
}

bool q6_k(Bytes in, float* out) {
  const Bytes low = in, high = in + 128, scales = in + 192;
  const float d = half(in + 208);
  for (int i = 0; i < 256; ++i) {
    const int four = (low[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4)) & 0xF;
    const int two = (high[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2)) & 3;
    const auto scale = static_cast<float>(static_cast<std::int8_t>(scales[i / 16]));
    out[i] = d * scale * static_cast<float>((four | (two << 4)) - 32);
  }
  return std::isfinite(d);
}

struct Decoder {
  std::string_view type;
  Decode decode;
};
constexpr std::array kDecoders{Decoder{"F32", f32},   Decoder{"F16", f16},       Decoder{"BF16", bf16},
                               Decoder{"Q8_0", q8_0}, Decoder{"Q4_0", q4_0},     Decoder{"Q4_1", q4_1},
                               Decoder{"Q5_0", q5_0}, Decoder{"Q5_1", q5_1},     Decoder{"Q2_K", q2_k},
                               Decoder{"Q3_K", q3_k}, Decoder{"Q4_K", q4_k},     Decoder{"Q5_K", q5_k},
                               Decoder{"Q6_K", q6_k}, Decoder{"IQ4_NL", iq4_nl}, Decoder{"MXFP4", mxfp4}};

Decode decoder_of(const GgufType& type) {
  for (const auto& [name, decode] : kDecoders)
    if (name == type.name) return decode;
  return nullptr;
}

}  // namespace

bool decodes(const GgufType& type) {
  return decoder_of(type) != nullptr;
}

std::string decoded_types() {
  std::string names;
  for (const auto& [name, decode] : kDecoders) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

std::optional<std::size_t> decode_blocks(const GgufType& type, const std::byte* in, std::size_t elements,
                                         float* out) {
  const Decode decode = decoder_of(type);
  std::optional<std::size_t> wrong;
  const auto* bytes = reinterpret_cast<Bytes>(in);
  for (std::size_t block = 0; block < elements / type.block; ++block)
    if (!decode(bytes + block * type.bytes, out + block * type.block) && !wrong) wrong = block;
  return wrong;
}

}  // namespace shardrift
