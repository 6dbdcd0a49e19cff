#include "worker/bench_phases.hpp"

namespace shardrift {

bool PhaseBackend::runs(BenchPhase phase) const {
  return !only_ || *only_ == phase;
}

bool PhaseTransport::runs() const {
  return !only_ || *only_ == phase_;
}

}  // namespace shardrift
