// What goes wrong on clusters, said in words.
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <fstream>

#include "recorded.hpp"
#include "slurm_fixture.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kBin = SHARDRIFT_SOURCE_DIR "/tests/slurm/bin";

// A study on GPUs whose worker computes on CPUs.
std::map<std::string, std::string> gpu_site(const std::string& partition) {
  return {{"gpus", "\"gpus-per-node\""},
          {"ranks_per_node", "2"},
          {"partition", "\"" + partition + "\""},
          {"setup", "['export PATH=" + std::string(kBin) + ":$PATH']"},
          {"worker", "\"" + std::string(kBin) + "/worker-on-cpus\""}};
}

TEST_F(Slurm, WhatTheClusterCannotIsSaidBeforeAnythingIsSubmitted) {
  write_study();
  const auto refusal = [&](std::map<std::string, std::string> keys) {
    write_site(keys);
    const auto refused = submit();
    EXPECT_EQ(refused.code, 64) << refused.output;
    EXPECT_TRUE(queue_is_empty());
    return refused.output;
  };
  EXPECT_THAT(refusal({{"partition", "\"gpux\""}}),
              HasSubstr("this cluster has no partition gpux; it has a1, c1, h1, main"));
  EXPECT_THAT(refusal({{"constraint", "\"h100\""}}), HasSubstr("has constraint h100"));
  EXPECT_THAT(refusal({{"memory", "\"9999G\""}}), HasSubstr("what is asked for"));
  EXPECT_THAT(refusal(gpu_site("c1")), HasSubstr("partition c1 has no GPU"));
  auto large = gpu_site("h1");
  large["ranks_per_node"] = "4";
  large["gpu_type"] = "\"b200\"";
  EXPECT_THAT(refusal(large), HasSubstr("GPUs of type b200; partition h1 has 2 without a type"));
}

TEST_F(Slurm, WhyAJobIsPending) {
  write_study();
  write_site({{"time_limit", "\"05:00:00\""}});  // the partitions end after one hour
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  EXPECT_TRUE(says("reference", "PartitionTimeLimit"));
  EXPECT_THAT(row("reference"), HasSubstr("time_limit in the profile is longer than the partition allows"));
  EXPECT_EQ(shardrift(folder_, {"status", "out"}).code, 75);
}

TEST_F(Slurm, ANodeWithoutGpusInspiteOfTheRequest) {
  write_study();
  auto site = gpu_site("h1");
  site.erase("setup");  // no nvidia-smi: as where the driver is broken
  write_site(site);
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  const auto table = wait_for_end();
  EXPECT_THAT(row_of(table, "reference"), AllOf(HasSubstr("failed"), HasSubstr("shows no GPU")));
}

TEST_F(Slurm, TwoModelsOfGpuInOneStudyAreRefused) {
  write_study();
  write_site(gpu_site("h1,a1"));  // tp2 and pp2 take two GPUs each: one node each, as long as both are there
  hold("tp2:1,pp2:1");
  ASSERT_EQ(submit({"--only", "tp2,pp2"}).code, 0);
  const auto failed = [&](const char* name) { return row(name).find("failed") != std::string::npos; };
  ASSERT_TRUE(wait_on_slurm("one of two to be refused", [&] { return failed("tp2") || failed("pp2"); }))
      << status();
  const std::string refused = failed("tp2") ? "tp2" : "pp2";
  const std::string first = failed("tp2") ? "pp2" : "tp2";
  ASSERT_TRUE(run_of(first).is_reached()) << status();
  run_of(first).let_go();
  const auto table = wait_for_end();
  EXPECT_THAT(row_of(table, first), HasSubstr(" done "));
  EXPECT_THAT(row_of(table, refused), AllOf(HasSubstr("failed"), HasSubstr("mixed GPU models are refused"),
                                            HasSubstr("H100"), HasSubstr("A100"), HasSubstr("gpu_type")));
  EXPECT_TRUE(fs::exists(folder_ / "out/slurm/gpu-model"));
}

// A file system of 96 MiB, where root may mount one.
class FullDisk : public Slurm {
 protected:
  void SetUp() override {
    Slurm::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    fs::create_directories(disk());
    mounted_ = mount("none", disk().c_str(), "tmpfs", 0, "size=96m") == 0;
    if (!mounted_) GTEST_SKIP() << "no file system can be mounted here";
    fs::create_directory_symlink(disk() / "out", folder_ / "out");
    fs::create_directories(disk() / "out");
  }
  void TearDown() override {
    Slurm::TearDown();
    if (mounted_) umount2(disk().c_str(), MNT_DETACH);
  }
  fs::path disk() const { return folder_ / "disk"; }
  void fill() const {  // but for 64 KiB
    struct statvfs free {};
    ASSERT_EQ(statvfs(disk().c_str(), &free), 0);
    std::ofstream(disk() / "filler") << std::string(free.f_bavail * free.f_bsize - 65536, 'x');
  }
  bool mounted_ = false;
};

TEST_F(FullDisk, TooSmallIsSaidBeforeTheRunBegins) {
  write_study();
  write_site();
  fill();
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  const auto table = wait_for_end();
  EXPECT_THAT(row_of(table, "reference"),
              AllOf(HasSubstr("failed"), HasSubstr("MiB free, the record of reference needs")));
  EXPECT_THAT(table, HasSubstr("is full ("));
}

TEST_F(FullDisk, FullInTheMiddleOfARunIsSaidAndLosesNothing) {
  write_study("", "max-new-tokens = 150\n", 4);
  write_site();
  hold("reference:1");
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  ASSERT_TRUE(run_of("reference").is_reached()) << status();
  struct statvfs free {};
  ASSERT_EQ(statvfs(disk().c_str(), &free), 0);
  std::ofstream(disk() / "filler") << std::string(free.f_bavail * free.f_bsize, 'x');
  run_of("reference").let_go();
  const auto table = wait_for_end();
  EXPECT_THAT(table, HasSubstr("is full (")) << log("reference");
  EXPECT_THAT(row_of(table, "reference"), HasSubstr("failed"));
  fs::remove(disk() / "filler");
  ASSERT_EQ(submit({"--only", "reference"}).code, 0);
  EXPECT_THAT(row_of(wait_for_end(), "reference"), HasSubstr(" done "));
}

}  // namespace
}  // namespace shardrift::testing
