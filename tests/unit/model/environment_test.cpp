#include "worker/environment.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"

namespace shardrift {
namespace {

using ::testing::HasSubstr;

record::DeviceInfo gpu(int rank, const std::string& name, const std::string& uuid) {
  return {rank, "node1", name, uuid, "9.0", "580.0"};
}

std::string refusal(const std::vector<record::DeviceInfo>& devices) {
  try {
    check_devices(devices);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return {};
}

TEST(Devices, OneModelAndOneRankAGpu) {
  EXPECT_EQ(refusal({gpu(0, "H100", "GPU-a"), gpu(1, "H100", "GPU-b")}), "");
  EXPECT_THAT(refusal({gpu(0, "H100", "GPU-a"), gpu(1, "A100", "GPU-b")}), HasSubstr("same GPU model"));
  EXPECT_THAT(refusal({gpu(0, "H100", "GPU-a"), gpu(1, "H100", "GPU-a")}), HasSubstr("already driven"));
}

TEST(Hosts, WhatDiffersIsKeptForEach) {
  const auto joined =
      joined_by_host({{"n1", {{"NCCL_ALGO", "Ring"}, {"NCCL_DEBUG", "WARN"}, {"OMP_NUM_THREADS", "1"}}},
                      {"n2", {{"NCCL_ALGO", "Ring"}, {"OMP_NUM_THREADS", "2"}, {"NCCL_IB_HCA", "mlx5"}}}});
  const std::map<std::string, std::string> expected{
      {"NCCL_ALGO", "Ring"},    {"NCCL_DEBUG", "WARN"},      {"NCCL_DEBUG@n2", "(not set)"},
      {"OMP_NUM_THREADS", "1"}, {"OMP_NUM_THREADS@n2", "2"}, {"NCCL_IB_HCA@n2", "mlx5"}};
  EXPECT_EQ(joined, expected);
}

}  // namespace
}  // namespace shardrift
