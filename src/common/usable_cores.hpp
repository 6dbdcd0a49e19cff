// How many cores this process may use.
#pragma once

namespace shardrift {

// Cores of the machine, at least 1.
int machine_cores();
// Those that the process may run on, at least 1: fewer where it is bound (mpirun, Slurm, taskset) or in a
// container's set of CPUs (sched_getaffinity(2)).
int usable_cores();

}  // namespace shardrift
