// Conversions of many numbers at once against those of one (common/dtype.hpp).
#include "weights/convert.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

namespace shardrift {
namespace {

// From and to unaligned places.
template <typename To, typename From>
std::vector<To> converted(const std::vector<From>& from, DType from_type, DType to_type) {
  std::vector<std::byte> source(1 + from.size() * sizeof(From));
  std::vector<std::byte> target(1 + from.size() * sizeof(To));
  std::memcpy(source.data() + 1, from.data(), from.size() * sizeof(From));
  convert(source.data() + 1, from_type, target.data() + 1, to_type, from.size());
  std::vector<To> to(from.size());
  std::memcpy(to.data(), target.data() + 1, to.size() * sizeof(To));
  return to;
}

std::vector<std::uint16_t> all_words() {
  std::vector<std::uint16_t> words(0x10000);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
  return words;
}

// Every exponent and sign with fractions around each place where 16 bits round.
std::vector<float> floats() {
  std::vector<float> values;
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper)
    for (const std::uint32_t lower :
         {0U, 1U, 0xFFFU, 0x1000U, 0x1001U, 0x2FFFU, 0x3000U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU})
      values.push_back(std::bit_cast<float>((upper << 16) | lower));
  return values;
}

void expect_word(std::uint16_t expected, std::uint16_t word, float value) {
  EXPECT_EQ(expected, word) << value << " " << std::hex << std::bit_cast<std::uint32_t>(value);
}

TEST(Convert, WidensEvery16BitNumberExactly) {
  const auto words = all_words();
  const auto from_half = converted<float>(words, DType::float16, DType::float32);
  const auto from_bfloat = converted<float>(words, DType::bfloat16, DType::float32);
  const auto doubles = converted<double>(words, DType::float16, DType::float64);
  for (std::size_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(from_half[i]),
              std::bit_cast<std::uint32_t>(float_from_float16(words[i])))
        << i;
    EXPECT_EQ(std::bit_cast<std::uint32_t>(from_bfloat[i]),
              std::bit_cast<std::uint32_t>(float_from_bfloat16(words[i])))
        << i;
    if (!std::isnan(from_half[i])) {
      EXPECT_EQ(doubles[i], static_cast<double>(from_half[i])) << i;
    }
  }
}

TEST(Convert, RoundsFloat32ToNearestEven) {
  const auto values = floats();
  const auto halves = converted<std::uint16_t>(values, DType::float32, DType::float16);
  const auto bfloats = converted<std::uint16_t>(values, DType::tf32, DType::bfloat16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    expect_word(float16_from_float(values[i]), halves[i], values[i]);
    expect_word(bfloat16_from_float(values[i]), bfloats[i], values[i]);
  }
}

TEST(Convert, RoundsFloat64ByWayOfFloat32) {
  // Just above the middle of two bfloat16, nearer to the middle than float32 tells: rounded twice.
  const double twice = 1 + 0x1p-8 + 0x1p-40;
  const std::vector<double> values{0.1, -0.0, 1e300, 1e-300, twice, 65519.9};
  const auto bfloats = converted<std::uint16_t>(values, DType::float64, DType::bfloat16);
  const auto halves = converted<std::uint16_t>(values, DType::float64, DType::float16);
  const auto singles = converted<float>(values, DType::float64, DType::float32);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto single = static_cast<float>(values[i]);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(singles[i]), std::bit_cast<std::uint32_t>(single)) << values[i];
    expect_word(bfloat16_from_float(single), bfloats[i], single);
    expect_word(float16_from_float(single), halves[i], single);
  }
  EXPECT_EQ(float_from_bfloat16(bfloats[4]), 1);
}

TEST(Convert, TakesOne16BitKindToTheOther) {
  const auto words = all_words();
  const auto halves = converted<std::uint16_t>(words, DType::bfloat16, DType::float16);
  const auto bfloats = converted<std::uint16_t>(words, DType::float16, DType::bfloat16);
  for (std::size_t i = 0; i < words.size(); ++i) {
    expect_word(float16_from_float(float_from_bfloat16(words[i])), halves[i], float_from_bfloat16(words[i]));
    expect_word(bfloat16_from_float(float_from_float16(words[i])), bfloats[i], float_from_float16(words[i]));
  }
  EXPECT_EQ(converted<std::uint16_t>(words, DType::float16, DType::float16), words);  // NaN included
}

}  // namespace
}  // namespace shardrift
