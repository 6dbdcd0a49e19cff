// What --quantize makes of a matrix: against bitsandbytes (nf4) and torch (references/quantized.json, made by
// make-quantized.py), to the bit, and by rules of its own.
#include "weights/quantize.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "weights/codings/numbers.hpp"

namespace shardrift {
namespace {

using testing::Each;
using testing::ElementsAre;
using Values = std::vector<float>;

constexpr std::array kKinds{Quantization::int8, Quantization::int4, Quantization::nf4, Quantization::fp8,
                            Quantization::fp8_block};

const nlohmann::json& references() {
  static const nlohmann::json values = nlohmann::json::parse(
      std::ifstream(SHARDRIFT_SOURCE_DIR "/tests/unit/weights/references/quantized.json"));
  return values;
}

Values from_words(const nlohmann::json& words) {
  Values values;
  for (const auto& word : words) values.push_back(std::bit_cast<float>(word.get<std::uint32_t>()));
  return values;
}

std::vector<std::uint32_t> words_of(const Values& values) {
  std::vector<std::uint32_t> words;
  for (const float value : values) words.push_back(std::bit_cast<std::uint32_t>(value));
  return words;
}

// As make-quantized.py.
Values counted(std::int64_t count) {
  Values values;
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < count; ++i) {
    state = state * 1664525U + 1013904223U;
    values.push_back(std::ldexp(static_cast<float>(static_cast<std::int64_t>(state >> 8U) - (1 << 23)),
                                static_cast<int>(-23 - i % 11)));
  }
  return values;
}

Values quantized(Quantization kind, Values values, std::int64_t cols) {
  quantize_rows(kind, values, cols);
  return values;
}

TEST(Quantize, GivesTheReferencePackagesBits) {
  for (const auto kind : kKinds) {
    SCOPED_TRACE(name_of(kind));
    const auto name = std::string(name_of(kind));
    const Values large = quantized(kind, counted(130 * 140), 140);
    EXPECT_EQ(sha256_hex({reinterpret_cast<const char*>(large.data()), large.size() * sizeof(float)}),
              references().at("large").at(name).get<std::string>());
    const auto cols = references().at("cols").get<std::int64_t>();
    EXPECT_EQ(words_of(quantized(kind, from_words(references().at("small")), cols)),
              words_of(from_words(references().at("quantized").at(name))));
  }
}

TEST(Quantize, NoneChangesNothing) {
  EXPECT_EQ(words_of(quantized(Quantization::none, counted(200), 100)), words_of(counted(200)));
}

// A scale of 1: the codes themselves.
TEST(Quantize, RoundsHalfToEven) {
  EXPECT_THAT(quantized(Quantization::int8, {127, 0.5, 1.5, 2.5, -0.5, -2.5, 3.49, -126.6}, 8),
              ElementsAre(127, 0, 2, 2, 0, -2, 3, -127));
  EXPECT_THAT(quantized(Quantization::int4, {-7, 0.5, 1.5, 2.51, -3.5}, 5), ElementsAre(-7, 0, 2, 3, -4));
  // Steps of 32 from 256 on, of 2 from 16 on, of 2^-9 below 2^-6.
  EXPECT_THAT(quantized(Quantization::fp8, {448, 271, 272, 304, -17, 19, 0x1.8p-9F, 0x1p-10F, 0x1.8p-10F}, 9),
              ElementsAre(448, 256, 256, 320, -16, 20, 0x1p-8F, 0, 0x1p-9F));
}

TEST(Quantize, ARowHasItsOwnScale) {
  for (const auto kind : {Quantization::int8, Quantization::int4, Quantization::nf4, Quantization::fp8}) {
    SCOPED_TRACE(name_of(kind));
    const Values both = quantized(kind, counted(2 * 100), 100);
    Values first = counted(200);
    Values second(first.begin() + 100, first.end());
    first.resize(100);
    first = quantized(kind, first, 100);
    second = quantized(kind, second, 100);
    first.insert(first.end(), second.begin(), second.end());
    EXPECT_EQ(words_of(both), words_of(first));
  }
}

// One large number coarsens those that share its scale, and no others.
TEST(Quantize, OneScaleForAGroupOfColumns) {
  const auto moved = [](Quantization kind, std::int64_t rows, std::int64_t cols, std::size_t at) {
    Values plain(static_cast<std::size_t>(rows * cols), 0.01F);
    for (std::size_t i = 0; i < plain.size(); ++i) plain[i] *= 1 + static_cast<float>(i % 7);
    Values outlier = plain;
    outlier[at] = 1e6F;
    plain = quantized(kind, plain, cols);
    outlier = quantized(kind, outlier, cols);
    std::vector<std::size_t> indices;
    for (std::size_t i = 0; i < plain.size(); ++i)
      if (plain[i] != outlier[i]) indices.push_back(i);
    return indices;
  };
  const auto columns = [](std::size_t from, std::size_t to) {
    std::vector<std::size_t> all;
    for (std::size_t i = from; i < to; ++i) all.push_back(i);
    return all;
  };
  for (const auto kind : {Quantization::int4, Quantization::nf4}) {
    EXPECT_EQ(moved(kind, 2, 150, 70), columns(64, 128)) << name_of(kind);
    EXPECT_EQ(moved(kind, 2, 150, 149), columns(128, 150)) << name_of(kind);  // the last one is shorter
    EXPECT_EQ(moved(kind, 2, 150, 150), columns(150, 214)) << name_of(kind);  // groups begin anew in each row
  }
  for (const auto kind : {Quantization::int8, Quantization::fp8})
    EXPECT_EQ(moved(kind, 2, 150, 70), columns(0, 150)) << name_of(kind);
  const auto block = moved(Quantization::fp8_block, 200, 150, 130);
  EXPECT_EQ(block.size(), 128 * (150 - 128));
  EXPECT_EQ(block.front(), 128);
  EXPECT_EQ(block.back(), 127 * 150 + 149);
}

TEST(Quantize, ZerosStayZeros) {
  for (const auto kind : kKinds) {
    EXPECT_THAT(words_of(quantized(kind, Values(2 * 70, 0.0F), 70)), Each(0U)) << name_of(kind);
    EXPECT_THAT(quantized(kind, Values(70, 0x1p-149F), 70),
                Each(testing::AllOf(testing::Ge(0.0F), testing::Lt(1e-37F))));
  }
}

// Codes stay the codes they are; an integer's scale may be another in its last place.
// What a device keeps in their place: the scales by which the values are codes.
TEST(Quantize, SaysByWhichScalesItRounded) {
  for (const auto kind : {Quantization::int8, Quantization::int4, Quantization::nf4, Quantization::fp8,
                          Quantization::fp8_block}) {
    constexpr std::int64_t kRows = 130, kCols = 140;
    const std::int64_t of_row = scales_of_row(kind, kCols);
    EXPECT_EQ(of_row, has_row_scales(kind) ? 1 : 3);
    Values values = counted(kRows * kCols);
    std::vector<float> scales(static_cast<std::size_t>(kRows * of_row));
    quantize_rows(kind, values, kCols, scales.data());
    EXPECT_EQ(words_of(values), words_of(quantized(kind, counted(kRows * kCols), kCols)));
    for (std::int64_t i = 0; i < kRows * kCols; ++i) {
      const std::int64_t group = of_row == 1 ? 0 : i % kCols / kScaleColumns;
      const float scale = scales[static_cast<std::size_t>(i / kCols * of_row + group)];
      const float value = values[static_cast<std::size_t>(i)];
      const auto is = [&](float code) { return code * scale == value; };
      bool coded = false;
      if (kind == Quantization::nf4) {
        coded = std::any_of(kNormalFloat.begin(), kNormalFloat.end(), is);
      } else if (kind == Quantization::fp8 || kind == Quantization::fp8_block) {
        coded = std::any_of(kE4m3.begin(), kE4m3.end(), is);
      } else {
        const int most = kind == Quantization::int8 ? 127 : 7;
        for (int code = -most; code <= most; ++code) coded = coded || is(static_cast<float>(code));
      }
      ASSERT_TRUE(coded) << name_of(kind) << " element " << i << ": " << value << " by " << scale;
    }
  }
}

TEST(Quantize, WhatIsQuantizedStaysSo) {
  for (const auto kind : kKinds) {
    SCOPED_TRACE(name_of(kind));
    const Values once = quantized(kind, counted(130 * 140), 140);
    const Values twice = quantized(kind, once, 140);
    if (kind == Quantization::nf4) {
      EXPECT_EQ(words_of(once), words_of(twice));
    }
    for (std::size_t i = 0; i < once.size(); ++i)
      ASSERT_LE(std::abs(once[i] - twice[i]), 3e-7F * std::abs(once[i])) << i;
  }
}

TEST(Quantize, WhatIsQuantizedAlreadyIsRefused) {
  EXPECT_NO_THROW(refuse_quantized_twice(Quantization::none, "GPTQ, 4 bits, groups of 128"));
  EXPECT_NO_THROW(refuse_quantized_twice(Quantization::int8, ""));
  try {
    refuse_quantized_twice(Quantization::int8, "GPTQ, 4 bits, groups of 128");
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("--quantize int8"),
                                             testing::HasSubstr("(GPTQ, 4 bits, groups of 128)"),
                                             testing::HasSubstr("leave --quantize out")));
  }
}

TEST(Quantize, BlocksOfRowsAreAskedForWhole) {
  for (const auto kind : kKinds) {
    if (kind == Quantization::fp8_block) continue;
    EXPECT_EQ(rows_quantized_with(kind, {3, 200}, 300), (Range{3, 200}));
  }
  constexpr auto kBlocks = Quantization::fp8_block;
  EXPECT_EQ(rows_quantized_with(kBlocks, {3, 200}, 300), (Range{0, 256}));
  EXPECT_EQ(rows_quantized_with(kBlocks, {128, 129}, 300), (Range{128, 256}));
  EXPECT_EQ(rows_quantized_with(kBlocks, {257, 300}, 300), (Range{256, 300}));
  EXPECT_EQ(rows_quantized_with(kBlocks, {5, 5}, 300), (Range{5, 5}));
}

}  // namespace
}  // namespace shardrift
