#include "model/rope.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace shardrift {
namespace {

TEST(Rope, DefaultFrequenciesArePowersOfTheta) {
  const auto frequencies = rope_inverse_frequencies({.theta = 10000.0}, 8);
  ASSERT_EQ(frequencies.size(), 4U);
  EXPECT_FLOAT_EQ(frequencies[0], 1.0F);
  EXPECT_FLOAT_EQ(frequencies[1], 0.1F);
  EXPECT_FLOAT_EQ(frequencies[2], 0.01F);
  EXPECT_FLOAT_EQ(frequencies[3], 0.001F);
}

// Llama 3.1's own numbers: high frequencies stay, low ones are divided by the factor, between is between.
TEST(Rope, Llama3KeepsHighAndDividesLowFrequencies) {
  const RopeConfig plain{.theta = 500000.0};
  const RopeConfig scaled{.theta = 500000.0, .scaling = RopeConfig::Llama3{8.0, 1.0, 4.0, 8192.0}};
  const auto before = rope_inverse_frequencies(plain, 128);
  const auto after = rope_inverse_frequencies(scaled, 128);
  int between = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double wavelength = 2 * M_PI / before[i];
    if (wavelength < 2048) {
      EXPECT_EQ(after[i], before[i]) << i;
    } else if (wavelength > 8192) {
      EXPECT_FLOAT_EQ(after[i], before[i] / 8) << i;
    } else {
      EXPECT_LT(after[i], before[i]);
      EXPECT_GT(after[i], before[i] / 8);
      ++between;
    }
  }
  EXPECT_GT(between, 0);
}

TEST(Rope, TablesAreCosineAndSineOfPositionTimesFrequency) {
  const auto tables = rope_tables({.theta = 10000.0}, 4, 3);
  ASSERT_EQ(tables.cosines.size(), 6U);
  EXPECT_FLOAT_EQ(tables.cosines[0], 1.0F);
  EXPECT_FLOAT_EQ(tables.sines[4], static_cast<float>(std::sin(2.0)));
  EXPECT_FLOAT_EQ(tables.sines[5], static_cast<float>(std::sin(0.02)));
}

TEST(Rope, LinearDividesAll) {
  const auto plain = rope_inverse_frequencies({.theta = 10000.0}, 8);
  const auto scaled = rope_inverse_frequencies({.theta = 10000.0, .scaling = RopeConfig::Linear{4.0}}, 8);
  for (std::size_t i = 0; i < plain.size(); ++i) EXPECT_EQ(scaled[i], plain[i] / 4) << i;
}

// Up to the original length nothing changes; beyond it theta grows with the length, the first frequency
// stays.
TEST(Rope, DynamicDependsOnTheLength) {
  const RopeConfig rope{.theta = 10000.0, .scaling = RopeConfig::Dynamic{2.0, 16}};
  const auto plain = rope_inverse_frequencies({.theta = 10000.0}, 8);
  EXPECT_EQ(rope_inverse_frequencies(rope, 8, 16), plain);
  const auto longer = rope_inverse_frequencies(rope, 8, 24);
  const double theta = 10000.0 * std::pow(2.0 * 24 / 16 - 1, 8.0 / 6);
  EXPECT_EQ(longer[0], 1.0F);
  EXPECT_FLOAT_EQ(longer[2], static_cast<float>(std::pow(theta, -0.5)));
  const auto tables = rope_tables(rope, 8, 20);
  EXPECT_EQ(tables.short_length, 16);
  ASSERT_EQ(tables.frequencies.size(), 4U * 4);
  const auto at_18 = rope_inverse_frequencies(rope, 8, 18);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(tables.frequencies[4 + i], at_18[i]) << i;
}

TEST(Rope, LongRopeHasTwoTablesAndRotatesAPart) {
  const RopeConfig rope{.theta = 10000.0,
                        .scaling = RopeConfig::LongRope{{1.0, 2.0}, {3.0, 4.0}, 2},
                        .rotated = 4,
                        .attention_factor = 1.25};
  const auto tables = rope_tables(rope, 8, 3);
  EXPECT_EQ(tables.pairs, 2);
  EXPECT_EQ(tables.short_length, 2);
  ASSERT_EQ(tables.sines.size(), 2U * 3 * 2);
  EXPECT_FLOAT_EQ(tables.cosines[0], 1.25F);
  EXPECT_FLOAT_EQ(tables.sines[2], static_cast<float>(1.25 * std::sin(1.0)));
  EXPECT_FLOAT_EQ(tables.sines[3], static_cast<float>(1.25 * std::sin(0.01 / 2)));
  EXPECT_FLOAT_EQ(tables.sines[6 + 2], static_cast<float>(1.25 * std::sin(1.0 / 3)));
  EXPECT_FLOAT_EQ(tables.sines[6 + 3], static_cast<float>(1.25 * std::sin(0.01 / 4)));
  EXPECT_EQ(rope_tables(rope, 8, 2).sines.size(), 4U);  // never longer than the short table's
}

// Qwen2.5's numbers: what turns 32 times or more within 32768 positions stays, once or less is divided by 4.
TEST(Rope, YarnRampsBetweenDimensions) {
  const auto plain = rope_inverse_frequencies({.theta = 1e6}, 128);
  const auto scaled = rope_inverse_frequencies(
      {.theta = 1e6, .scaling = RopeConfig::Yarn{.factor = 4.0, .original_length = 32768}}, 128);
  int between = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double turns = 32768 * plain[i] / (2 * M_PI);
    if (turns > 40) {
      EXPECT_EQ(scaled[i], plain[i]) << i;
    } else if (turns < 0.8) {
      EXPECT_FLOAT_EQ(scaled[i], plain[i] / 4) << i;
    } else {
      EXPECT_LE(scaled[i], plain[i]);
      EXPECT_GE(scaled[i], plain[i] / 4.0001F);
      ++between;
    }
  }
  EXPECT_GT(between, 5);
}

}  // namespace
}  // namespace shardrift
