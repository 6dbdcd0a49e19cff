// The handshake that the tests of killed, interrupted and simultaneous runs rest on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "common/error.hpp"
#include "held_run.hpp"
#include "tests/unit/weights/weight_files.hpp"
#include "worker/hold.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::HeldRun;

class Holds : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "tp2.h5.parts");
    setenv("SHARDRIFT_HOLD", "pp2:1,tp2:2", 1);
  }
  void TearDown() override { unsetenv("SHARDRIFT_HOLD"); }
  void record(const std::string& prompt) const {
    const std::ofstream made(folder_ / "tp2.h5.parts" / (prompt + ".h5"));
  }
  std::future<void> after(Hold& hold, const std::string& prompt) {
    return std::async(std::launch::async, [&hold, prompt, this] { hold.after(prompt, stop_); });
  }
  bool is_held() const { return fs::exists(output_.string() + ".held"); }

  TemporaryDirectory folder_;
  const fs::path output_ = folder_ / "tp2.h5";
  const HeldRun run_{output_};
  std::atomic<bool> stop_{false};
};

TEST_F(Holds, AfterItsCountOnceUntilItIsLetGo) {
  Hold hold(output_);
  hold.after("p0", stop_);  // the first: comes back at once
  EXPECT_FALSE(is_held());
  record("p1");
  auto held = after(hold, "p1");
  ASSERT_TRUE(run_.is_reached());
  EXPECT_EQ(run_.pid(), getpid());
  run_.let_go();
  held.get();
  hold.after("p2", stop_);
  // A run that is started again goes through: it would wait for ever.
  run_.hold_again();
  std::ofstream(output_.string() + ".held") << "1\n";
  Hold again(output_);
  again.after("p0", stop_);
  again.after("p1", stop_);
  EXPECT_EQ(run_.pid(), 1) << "of the first";
}

TEST_F(Holds, OnlyWhenThePromptIsOnDisk) {
  Hold hold(output_);
  hold.after("p0", stop_);
  auto held = after(hold, "p1");
  EXPECT_FALSE(is_held());
  record("p1");
  EXPECT_TRUE(run_.is_reached());
  run_.let_go();
  held.get();
}

TEST_F(Holds, NoLongerThanUntilAskedToStop) {
  record("p1");
  Hold hold(output_);
  hold.after("p0", stop_);
  auto held = after(hold, "p1");
  ASSERT_TRUE(run_.is_reached());
  stop_ = true;
  held.get();
  // Nor for a prompt that never comes to the disk.
  run_.hold_again();
  Hold another(output_);
  another.after("p0", stop_);
  another.after("never", stop_);
  EXPECT_FALSE(is_held());
}

TEST_F(Holds, NobodyElse) {
  Hold other(folder_ / "tp22.h5");
  other.after("p0", stop_);
  other.after("p1", stop_);
  unsetenv("SHARDRIFT_HOLD");
  Hold unset(output_);
  unset.after("p0", stop_);
  unset.after("p1", stop_);
  EXPECT_FALSE(is_held());
}

TEST_F(Holds, WhatCannotBeReadIsRefused) {
  for (const std::string where : {"tp2", "tp2:", "tp2:0", "tp2:two", "tp2:2x", "pp2:1,tp2:-1"}) {
    setenv("SHARDRIFT_HOLD", where.c_str(), 1);
    try {
      const Hold hold(output_);
      ADD_FAILURE() << where << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("SHARDRIFT_HOLD: '"), HasSubstr("NAME:COUNT")));
    }
  }
}

}  // namespace
}  // namespace shardrift
