// Profiles for tests, as if probed on a machine whose NCCL is known.
#pragma once
#include <gtest/gtest.h>

#include <string>

#include "common/error.hpp"
#include "parallel/profile/profile.hpp"

namespace shardrift::testing {

// What a probe of a message with this map would have found.
inline ProbedCollective as_probed(const OrderMap& map, DType dtype,
                                  CollectiveOperation operation = CollectiveOperation::all_reduce) {
  ProbeResult probe{map.shards(), map.count, dtype, 7, map.segments, map.trees, Accumulator::message, -1};
  return {operation, probe, std::nullopt};
}

// A machine of 4 GPUs: 24 channels, ll up to 2.5 MB, ll128 to 9.4 MB.
inline NcclProtocol h100_protocol(std::int64_t bytes) {
  if (bytes <= 2'500'000) return NcclProtocol::ll;
  return bytes <= 9'400'000 ? NcclProtocol::ll128 : NcclProtocol::simple;
}
inline OrderMap h100_map(std::int64_t count, DType dtype, int ranks = 4) {
  const auto bytes = count * static_cast<std::int64_t>(size_of(dtype));
  return nccl_ring_map(count, dtype, {ranks, 24, {}}, h100_protocol(bytes));
}

inline CollectiveProfile example_profile() {
  CollectiveProfile profile;
  profile.library = "nccl";
  profile.library_version = "2.28.9";
  profile.transport = "nccl";
  profile.ranks = 4;
  profile.device = "NVIDIA H100 80GB HBM3";
  profile.machine = "node1";
  profile.variables = {{"NCCL_NVLS_ENABLE", "0"}};
  profile.date = "2026-11-22T00:00:00Z";
  for (const std::int64_t tokens : {1, 17, 256, 1400})
    for (const DType dtype : {DType::bfloat16, DType::float32})
      profile.add(as_probed(h100_map(tokens * 4096, dtype), dtype));
  if (auto model = infer_nccl_model(profile.probed, {})) profile.model = *model;
  for (auto& one : profile.probed) one.model_agrees = agrees(profile.model, one);
  return profile;
}

// The message of the Error that `action` throws, "" and a failed test where it throws none.
template <typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

}  // namespace shardrift::testing
