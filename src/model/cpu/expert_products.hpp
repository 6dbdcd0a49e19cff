// Backend::linear_of_experts on CPUs.
#pragma once
#include "model/backend.hpp"
#include "model/cpu/threads.hpp"

namespace shardrift {

void cpu_linear_of_experts(Threads& threads, const Matrix& x, const ExpertTable& table,
                           const ExpertPairs& pairs, const Matrix& out);

}  // namespace shardrift
