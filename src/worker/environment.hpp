// What the run's bits may depend on outside the plan, gathered from every rank.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "model/backend.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/record.hpp"

namespace shardrift {

// One host's values of one kind: libraries, variables or settings.
struct HostValues {
  std::string host;
  std::map<std::string, std::string> values;
};
// The first host's values; what another host has otherwise is beside them as NAME@HOST, "(not set)" where it
// lacks it.
std::map<std::string, std::string> joined_by_host(const std::vector<HostValues>& hosts);

// What this process sees: libraries, variables, settings.
record::Environment describe_here(Device device, int threads);
// Collective. `mine` describes this rank's device. What hosts have otherwise than rank 0's is recorded too.
record::Environment gather_environment(const World& world, const record::DeviceInfo& mine, Device device,
                                       int threads);
record::DeviceInfo describe_cpu(const World& world);

// Throws usage_error where ranks drive GPUs of different models, or share one GPU.
void check_devices(const std::vector<record::DeviceInfo>& devices);

}  // namespace shardrift
