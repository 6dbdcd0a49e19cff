#include "common/name_length.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/error.hpp"

namespace shardrift {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal(const std::string& path, const std::string& suffix) {
  try {
    refuse_long_name("--output", path, path + suffix);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "";
}

// 255 bytes are taken by every file system that tests run on.
TEST(NameLength, WhatIsAddedWhileAFileIsWrittenCounts) {
  const std::string suffix = ".assembling";
  EXPECT_EQ(refusal(std::string(255 - suffix.size(), 'a'), suffix), "");
  EXPECT_THAT(refusal(std::string(256 - suffix.size(), 'a'), suffix),
              AllOf(HasSubstr("--output aaaa"), HasSubstr("aaaa.assembling would be a name of 256 bytes"),
                    HasSubstr("takes 255")));
  EXPECT_THAT(refusal("none/" + std::string(256, 'a') + "/out.h5", suffix), HasSubstr("a name of 256 bytes"));
}

TEST(NameLength, TheWholePathCounts) {
  std::string folder = ".";
  while (folder.size() + 101 < 4000) folder += "/" + std::string(100, 'd');
  const auto left = 4095 - folder.size() - 1;
  EXPECT_EQ(refusal(folder + "/" + std::string(left - 4, 'a'), ".tmp"), "");
  EXPECT_THAT(refusal(folder + "/" + std::string(left - 3, 'a'), ".tmp"),
              HasSubstr("a path of 4096 bytes would be written for it, this system takes 4095"));
}

// However long, it is shown in one line that a terminal can hold.
TEST(NameLength, TheMessageIsShort) {
  EXPECT_LT(refusal(std::string(100'000, 'a'), ".tmp").size(), 300U);
}

}  // namespace
}  // namespace shardrift
