// A probe's command line.
#include "options/probe_options.hpp"

#include <gtest/gtest.h>

namespace shardrift {
namespace {

TEST(ProbeOptions, PathsAreTakenAsTheyAre) {
  bool helped = false;
  for (const std::string path : {"a b.json", " 'quoted' \"twice\" ", "back\\slash & more"}) {
    const auto options = parse_probe_options(
        {"--count", "4", "--check", "--collective-profile", path, "--save-profile=" + path, "--output", path},
        helped);
    EXPECT_EQ(options.profile, path);
    EXPECT_EQ(options.save_profile, path);
    EXPECT_EQ(options.output, path);
  }
  EXPECT_FALSE(helped);
}

}  // namespace
}  // namespace shardrift
