// How one configuration is started on this machine.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/runner/process.hpp"
#include "experiments/study/configuration.hpp"

namespace shardrift::runner {

struct Launcher {
  std::filesystem::path worker;  // shardrift-run
  std::vector<std::string>
      words;  // before it, "{ranks}" filled in; empty: mpirun -n {ranks} for several ranks
};

// "srun -n {ranks} --mpi=pmix" as words. Throws usage_error where {ranks} is missing.
std::vector<std::string> launcher_words(const std::string& text);

// devices: the GPUs it may see, as CUDA_VISIBLE_DEVICES spells them (none on CPUs). threads: of one rank's
// own kernels, 0: the worker's choice. replace: over an older record. On CPUs mpirun is told what this
// project's scripts tell it, where the user has not: more ranks than cores are allowed, waiting ranks yield,
// nothing is bound to cores; and root may start it, if we are root.
Command command_of(const study::Configuration& configuration, const Launcher& launcher,
                   const std::vector<std::string>& devices, int threads, bool replace,
                   const std::filesystem::path& log);

// As one types it in a shell: for logs and --dry-run.
std::string shell_text(const std::vector<std::string>& words);

}  // namespace shardrift::runner
