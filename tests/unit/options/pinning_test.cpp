#include "options/pinning.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/error.hpp"
#include "common/field_text.hpp"
#include "common/flag_field.hpp"
#include "tests/support/changed_field.hpp"

namespace shardrift {

inline void change(PinnedChannels& channels) {
  channels.count = 24;
}

namespace {

TEST(Pinning, EveryFieldComesBackFromItsFlag) {
  const Pinning usual;
  EXPECT_EQ(pinning_from({"run", "--model", "m"}), usual);
  for_each_field(usual, [&](const auto& changed, const auto&) {
    Pinning pinning;
    for_each_field(pinning, [&](const auto& row, auto& field) {
      if (row.key != changed.key) return;
      change(field);
      const auto flag = "--" + flag_of(row.key);
      Pinning expected;
      std::invoke(row.access, expected) = field;
      EXPECT_NE(expected, usual) << row.key;
      EXPECT_EQ(pinning_from({"run", flag, "auto", flag, text_of(field)}), expected) << row.key;
      EXPECT_EQ(pinning_from({"run", flag + "=" + text_of(field)}), expected) << row.key;
      EXPECT_EQ(pinning_from({"run", flag, "auto"}), usual) << row.key;
    });
  });
}

TEST(Pinning, WhatItSaysToTheSearchOfAModel) {
  const auto pins =
      pinning_from({"--nccl-algorithm", "tree", "--nccl-protocol", "ll128", "--nccl-channels", "8"});
  EXPECT_TRUE(pins.pins_nccl());
  EXPECT_EQ(pins.nccl().algorithm, NcclAlgorithm::tree);
  EXPECT_EQ(pins.nccl().protocol, NcclProtocol::ll128);
  EXPECT_EQ(pins.nccl().channels, 8);
  const auto nvls = pinning_from({"--nccl-algorithm", "nvls"});  // which has no model
  EXPECT_TRUE(nvls.pins_nccl());
  EXPECT_EQ(nvls.nccl().algorithm, std::nullopt);
  EXPECT_FALSE(pinning_from({"--mpi-allreduce", "ring"}).pins_nccl());
}

TEST(Pinning, RefusalsNameTheFlag) {
  const auto refusal = [](const std::string& flag, const std::string& value) -> std::string {
    try {
      pinning_from({flag, value});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal("--nccl-protocol", "LL"), "unknown --nccl-protocol 'LL': use auto, ll, ll128 or simple");
  for (const auto* wrong : {"0", "65", "many", "8x"})
    EXPECT_EQ(refusal("--nccl-channels", wrong),
              std::string("--nccl-channels ") + wrong + ": use auto or 1 to 64");
}

}  // namespace
}  // namespace shardrift
