// What a study needs to know of the machine that runs it.
#pragma once
#include <cstdint>
#include <string>

namespace shardrift::study {

struct Machine {
  std::string device;              // cpu | cuda: what the runs get as --device
  int devices = 1;                 // ranks that may run at once: GPUs, or cores
  std::string device_name;         // "NVIDIA H100 80GB HBM3", the CPU's model; empty: not known
  std::int64_t device_memory = 0;  // bytes of one GPU, or of the whole host; 0: not known
  std::string collective_library;  // "nccl" or "mpi"
  std::string library_version;     // "Open MPI v4.1.4"; empty: not known
};

}  // namespace shardrift::study
