// What the run's bits may depend on outside the plan, gathered from every rank.
#pragma once
#include "model/backend.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "record/record.hpp"

namespace shardrift {

// Collective. `mine` describes this rank's device.
record::Environment gather_environment(const World& world, const record::DeviceInfo& mine, Device device,
                                       int threads);
record::DeviceInfo describe_cpu(const World& world);

// Throws usage_error where ranks drive GPUs of different models, or share one GPU.
void check_devices(const std::vector<record::DeviceInfo>& devices);

std::string utc_now();  // ISO 8601

}  // namespace shardrift
