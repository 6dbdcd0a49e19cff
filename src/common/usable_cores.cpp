#include "common/usable_cores.hpp"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace shardrift {

int machine_cores() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

int usable_cores() {
  cpu_set_t cores;
  // Fails on machines of more cores than the set has room for; such a process is taken to be unbound.
  if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) return machine_cores();
  return std::max(1, CPU_COUNT(&cores));
}

}  // namespace shardrift
