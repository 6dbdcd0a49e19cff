// A probe's command line.
#include "options/probe_options.hpp"

#include <gtest/gtest.h>

#include "common/error.hpp"

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

TEST(ProbeOptions, GraphsAreOfGpus) {
  bool helped = false;
  EXPECT_EQ(parse_probe_options({"--count", "4"}, helped).launches, std::vector{Launch::eager});
  EXPECT_EQ(parse_probe_options({"--count", "4", "--device", "cuda", "--launch", "eager,captured"}, helped)
                .launches,
            (std::vector{Launch::eager, Launch::captured}));
  const auto refused = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"--count", "4"});
    try {
      parse_probe_options(more, helped);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refused({"--launch", "captured"}),
            "--launch captured needs --device cuda: CPUs have no graphs; leave it out");
  EXPECT_EQ(refused({"--launch", "captured", "--device", "cuda", "--local", "tree"}),
            "--local and --launch captured: a local fold is one kernel, captured or not");
  EXPECT_EQ(refused({"--tokens", "1,", "--hidden", "8"}),
            "--tokens 1,: '' is not a number from 1 to 8589934592");
  EXPECT_EQ(refused({"--numbers", "1,2,"}), "--numbers 1,2,: '' is not a number");
  EXPECT_NE(refused({"--dtype", "float32,"}), "");
  EXPECT_EQ(refused({"--launch", "auto"}), "--launch auto: a probe is told which: eager, captured, or both");
}

TEST(ProbeOptions, OurOwnCollectivesAreAllReduces) {
  bool helped = false;
  EXPECT_EQ(parse_probe_options({"--count", "4"}, helped).collective, Collective::library);
  EXPECT_EQ(parse_probe_options({"--count", "4", "--collective", "two-shot"}, helped).collective,
            Collective::two_shot);
  for (const auto& more : {std::vector<std::string>{"--local", "tree"}, {"--operation", "reduce-scatter"}}) {
    std::vector<std::string> arguments{"--count", "4", "--collective", "one-shot"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    try {
      parse_probe_options(arguments, helped);
      ADD_FAILURE() << "accepted " << more.front();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("--collective one-shot"), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace shardrift
