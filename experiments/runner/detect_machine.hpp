// What machine this is: GPUs through nvidia-smi, cores, and whether the worker can use them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/study/machine.hpp"

namespace shardrift::runner {

struct MachineWanted {
  std::string device = "auto";  // auto | cpu | cuda
  int devices = 0;              // at most that many; 0: all
};

struct DetectedMachine {
  study::Machine machine;
  int cores = 1;                     // that this process may use
  std::vector<std::string> gpu_ids;  // of machine.devices GPUs, as CUDA_VISIBLE_DEVICES spells them
  std::string why;                   // the choice in one line: "2 cores (no GPU found)"
};

// worker: shardrift-run, asked whether it was built with CUDA. CUDA_VISIBLE_DEVICES is respected. Throws
// usage_error where cuda is wanted and there is none, or more devices than there are.
DetectedMachine detect_machine(const MachineWanted& wanted, const std::filesystem::path& worker);

// A machine of that many devices that nobody looked at: a cluster's nodes, or whichever made the records at
// hand. wanted.device: cpu or cuda.
DetectedMachine unseen_machine(const MachineWanted& wanted);

// shardrift-run: `given`, else beside this program, else in PATH. Throws usage_error where it is not there.
std::filesystem::path find_worker(const std::filesystem::path& given);

}  // namespace shardrift::runner
