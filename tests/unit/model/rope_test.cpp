#include "model/rope.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace shardrift {
namespace {

TEST(Rope, DefaultFrequenciesArePowersOfTheta) {
  const auto frequencies = rope_inverse_frequencies({10000.0, std::nullopt}, 8);
  ASSERT_EQ(frequencies.size(), 4U);
  EXPECT_FLOAT_EQ(frequencies[0], 1.0F);
  EXPECT_FLOAT_EQ(frequencies[1], 0.1F);
  EXPECT_FLOAT_EQ(frequencies[2], 0.01F);
  EXPECT_FLOAT_EQ(frequencies[3], 0.001F);
}

// Llama 3.1's own numbers: high frequencies stay, low ones are divided by the factor, between is between.
TEST(Rope, Llama3KeepsHighAndDividesLowFrequencies) {
  const RopeConfig plain{500000.0, std::nullopt};
  const RopeConfig scaled{500000.0, RopeConfig::Llama3{8.0, 1.0, 4.0, 8192.0}};
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
  const auto tables = rope_tables({10000.0, std::nullopt}, 4, 3);
  ASSERT_EQ(tables.cosines.size(), 6U);
  EXPECT_FLOAT_EQ(tables.cosines[0], 1.0F);
  EXPECT_FLOAT_EQ(tables.sines[4], static_cast<float>(std::sin(2.0)));
  EXPECT_FLOAT_EQ(tables.sines[5], static_cast<float>(std::sin(0.02)));
}

}  // namespace
}  // namespace shardrift
