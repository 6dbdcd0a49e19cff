// How long passes take, and what each of their phases takes alone.
#pragma once
#include <array>
#include <functional>
#include <vector>

#include "model/forward.hpp"
#include "parallel/transport/mpi_world.hpp"
#include "worker/bench_phases.hpp"

namespace shardrift {

// Of this rank, in seconds of one pass.
struct PhaseSeconds {
  std::array<double, all_names<BenchPhase>().size()> alone{};
  double pass = 0;  // all operations
  double operator[](BenchPhase phase) const { return alone[static_cast<std::size_t>(phase)]; }
};

// Throws AgreedError(interrupted) on all ranks where any of them was asked to stop. Collective.
void stop_if_asked(const World& world);

// Seconds of one of many `work`s that follow each other without a wait: the fastest of a few rounds.
// Collective: all ranks work equally often, and stop where one is asked to.
double seconds_of(const World& world, Backend& backend, const std::function<void()>& work);

// Of this pass; `only` is what the forward pass's device and transports leave in. Phases that the plan does
// not have take no time. captured: as CUDA graphs. Collective.
PhaseSeconds time_phases(const World& world, Backend& backend, Forward& forward, const Plan& plan,
                         OnlyPhase& only, const Pass& pass, bool captured);

// Bytes/s of a matrix-vector product over a matrix that no cache holds. Collective: all ranks read at once.
double product_bandwidth(const World& world, Backend& backend, Device device, DType dtype);

// Of one value a rank, what a pass through all stages takes: the slowest rank of each, one after the other;
// at least the slowest stage where `in_flight` groups take turns. Collective.
double through_stages(const World& world, const Plan& plan, const Place& place, int in_flight,
                      double seconds);

double median(std::vector<double> values);

}  // namespace shardrift
