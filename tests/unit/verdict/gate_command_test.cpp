// shardrift gate itself: files in, exit code and words out.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/verdict/gate_fixture.hpp"

namespace shardrift::verdict {
namespace {

using record::testing::contents;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Gate = testing::GateProgram;

TEST_F(Gate, ThreeStatesAreThreeExitCodes) {
  EXPECT_EQ(run("one.h5 again.h5 --preset bitwise"), 0) << out_ << error_;
  EXPECT_THAT(out_, HasSubstr("verdict: pass\n"));
  EXPECT_THAT(out_, StartsWith("Yes, to the bit, in all 40 prompts: with the same plan run again."));
  EXPECT_EQ(run("one.h5 again.h5 tp2.h5 --preset bitwise"), 1);
  EXPECT_THAT(out_, HasSubstr("use again"));
  EXPECT_THAT(out_, HasSubstr("verdict: fail\n"));
  EXPECT_EQ(run("one.h5 again.h5 --preset strict"), 0);  // equal bits keep every limit, of two tokens too
  std::ofstream(scratch_ / "changed.toml") << "[limits]\nchanged_prompts = 0.999\n";
  EXPECT_EQ(run("one.h5 tp2.h5 --thresholds changed.toml"), 2);  // two tokens are not 256
  EXPECT_THAT(out_, HasSubstr("verdict: inconclusive\n"));
}

// What is no repeat would be taken off as if it were noise: the candidate itself, or the reference once more.
TEST_F(Gate, ANoiseFloorIsARepeatOfTheReference) {
  EXPECT_EQ(run("one.h5 tp2.h5 --noise-floor tp2.h5"), 65);
  EXPECT_THAT(error_, HasSubstr("tp2.h5: is no repeat of one.h5"));
  EXPECT_EQ(run("one.h5 tp2.h5 --noise-floor one.h5"), 65);
  EXPECT_THAT(error_, HasSubstr("it is the same file"));
  EXPECT_EQ(run("one.h5 tp2.h5 --noise-floor again.h5 --preset bitwise"), 1) << error_;
}

// A record's name may be anything; it is no part of what the terminal is told to do.
TEST_F(Gate, NamesOfFilesAreShownEscaped) {
  const std::string name = "a\nverdict: pass\x1b[2J\u202Eb.h5";
  std::filesystem::copy_file(scratch_ / "tp2.h5", scratch_ / name);
  for (const int kept : {0, 1}) {  // measured, and read again
    EXPECT_EQ(run("one.h5 '" + name + "' --preset bitwise --json out.json"), 1) << kept << error_;
    EXPECT_THAT(out_, HasSubstr("\na\\nverdict: pass\\x1B[2J\\u{202E}b"));
    for (const auto* raw : {"\nverdict: pass", "\x1b", "\u202E"})
      EXPECT_EQ((out_ + error_).find(raw), std::string::npos) << out_ << error_;
  }
  const auto json = nlohmann::json::parse(contents(scratch_ / "out.json"));
  EXPECT_EQ(json.at("candidates")[0].at("path"), name);
  EXPECT_EQ(run("one.h5 'no\x1b.h5'"), 65);
  EXPECT_EQ(error_.find('\x1b'), std::string::npos) << error_;
}

TEST_F(Gate, EverythingGiven) {
  std::ofstream(scratch_ / "limits.toml") << "[limits]\nyardstick = 0.5\nexcess_error = 10\n";
  EXPECT_EQ(run("one.h5 tp2.h5 --noise-floor again.h5 --yardstick int8.h5 --truth again.h5 "
                "--thresholds limits.toml --json out.json"),
            1)
      << out_ << error_;
  const auto json = nlohmann::json::parse(contents(scratch_ / "out.json"));
  EXPECT_EQ(json.at("candidates")[0].at("yardsticks")[0].at("name"), "int8");
  EXPECT_EQ(json.at("noise_floor").at("zero_bits"), true);
  // The reference is the truth's bits here: any error is infinitely more.
  EXPECT_TRUE(json.at("candidates")[0].at("excess_error").at("ratio").at("value").is_null());
  EXPECT_THAT(out_, HasSubstr("infinite"));
  EXPECT_THAT(out_, HasSubstr("vs int8"));
  EXPECT_THAT(out_, HasSubstr("not to be relied on"));  // the made-up change has one sign
  EXPECT_THAT(json.at("candidates")[0].at("distance").get<std::string>(), HasSubstr("as much as int8"));
}

TEST_F(Gate, TheSameAsCsvAndPage) {
  EXPECT_EQ(run("one.h5 again.h5 tp2.h5 --preset strict --json out.json --csv out.csv --html out.html"), 1)
      << error_;
  const auto json = nlohmann::json::parse(contents(scratch_ / "out.json"));
  std::string want =
      "candidate,candidate_state,limit,allowed,state,value,low,high,noise_floor,prompts,reason\n";
  std::size_t lines = 0;
  for (const auto& candidate : json.at("candidates")) {
    for (const auto& one : candidate.at("criteria")) {
      ++lines;
      want += fmt::format("{},{},{},", candidate.at("name").get<std::string>(),
                          candidate.at("state").get<std::string>(), one.at("limit").get<std::string>());
      const auto csv = contents(scratch_ / "out.csv");
      ASSERT_TRUE(csv.starts_with(want)) << csv << "\nshould begin\n" << want;
      const auto end = csv.find('\n', want.size());
      const auto line = csv.substr(0, end + 1);
      const auto& value = one.at("measured").at("value");
      if (!value.is_null()) {
        EXPECT_THAT(line.substr(want.size()), HasSubstr(fmt::format(",{},", value.get<double>())));
      }
      want = line;
    }
  }
  EXPECT_GT(lines, 4U);
  const auto page = contents(scratch_ / "out.html");
  EXPECT_THAT(page, HasSubstr("shardrift gate one.h5 again.h5 tp2.h5 --preset strict"));
  EXPECT_THAT(page, HasSubstr(json.at("recommendation").get<std::string>().substr(0, 12)));
}

TEST_F(Gate, WhatCannotBeIsRefusedInOneLine) {
  std::ofstream(scratch_ / "bad.toml") << "[limits]\nkl_mean = 1\nkl_maen = 2\n";
  std::ofstream(scratch_ / "noise.h5") << "not HDF5";
  for (const auto& [arguments, code] :
       std::vector<std::pair<std::string, int>>{{"", 64},
                                                {"one.h5", 64},
                                                {"one.h5 tp2.h5 --preset lax", 64},
                                                {"one.h5 tp2.h5 --preset strict --thresholds bad.toml", 64},
                                                {"one.h5 tp2.h5 --nonsense", 64},
                                                {"one.h5 tp2.h5 --json tp2.h5", 64},
                                                {"one.h5 tp2.h5 --csv tp2.h5", 64},
                                                {"one.h5 tp2.h5 --html one.h5", 64},
                                                {"one.h5 tp2.h5 --truth again.h5 --json again.h5", 64},
                                                {"one.h5 tp2.h5 --thresholds bad.toml", 65},
                                                {"one.h5 tp2.h5 --thresholds none.toml", 65},
                                                {"one.h5 noise.h5", 65},
                                                {"one.h5 none.h5", 65},
                                                {"one.h5 tp2.h5 --truth noise.h5", 65},
                                                {"one.h5 tp2.h5 --json none/out.json", 70}}) {
    EXPECT_EQ(run(arguments), code) << arguments << error_;
    EXPECT_THAT(error_, StartsWith("shardrift: ")) << arguments;
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
  }
  EXPECT_EQ(run("one.h5 tp2.h5 --thresholds bad.toml"), 65);
  EXPECT_THAT(error_, HasSubstr("bad.toml:3: "));
  EXPECT_THAT(error_, HasSubstr("kl_maen"));
  EXPECT_EQ(run("one.h5 again.h5 --preset bitwise"), 0);  // nothing was overwritten
  EXPECT_EQ(run("--help"), 0);
  EXPECT_THAT(out_, HasSubstr("exit code"));
}

}  // namespace
}  // namespace shardrift::verdict
