// How one cluster wants to be asked: partition, account, GPUs, modules, launcher. A TOML file
// (slurm/profiles, docs/slurm.md), read as a plain value.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/named_enum.hpp"

namespace shardrift::slurm {

enum class Launcher { srun, mpirun };
constexpr auto names_of(Launcher) {
  return std::to_array<Named<Launcher>>({{Launcher::srun, "srun"}, {Launcher::mpirun, "mpirun"}});
}

// sbatch's ways of asking for GPUs.
enum class GpuRequest { gpus_per_node, gres, gpus_per_task, none };
constexpr auto names_of(GpuRequest) {
  return std::to_array<Named<GpuRequest>>({{GpuRequest::gpus_per_node, "gpus-per-node"},
                                           {GpuRequest::gres, "gres"},
                                           {GpuRequest::gpus_per_task, "gpus-per-task"},
                                           {GpuRequest::none, "none"}});
}

// What the run jobs and the analysis job may have each for themselves.
struct JobSettings {
  std::string partition;            // empty: the cluster's default
  std::string account;              // empty: the user's default
  std::string qos;                  // empty: the default
  std::string constraint;           // sbatch --constraint; empty: none
  std::string memory;               // sbatch --mem, of one node; empty: the default
  std::string time_limit;           // sbatch --time: "02:00:00", "1-00:00:00"
  int cpus = 1;                     // run jobs: of one rank
  std::vector<std::string> sbatch;  // further options, each "--name=value"
};

struct SiteProfile {
  std::string name;  // "generic", or the file's stem
  std::string text;  // the file as read: its copy is kept beside the scripts
  JobSettings run;
  JobSettings analysis;
  GpuRequest gpus = GpuRequest::gpus_per_node;
  std::string gpu_type;      // as the site names it: "h100"; empty: any
  int ranks_per_node = 4;    // at most: GPUs of a node
  int signal_seconds = 180;  // before the time limit
  int at_once = 0;           // tasks of one array that run at a time, 0: as many as there is room for
  Launcher launcher = Launcher::srun;
  std::vector<std::string> launcher_options;
  std::vector<std::string> modules;
  std::vector<std::string> setup;  // lines of bash
  std::map<std::string, std::string> environment;
  std::filesystem::path worker;  // empty: shardrift-run beside shardrift
};

// The cluster that its jobs go to: --clusters among its sbatch options, else SBATCH_CLUSTERS, which sbatch
// reads; empty: the one at hand.
std::string cluster_of(const SiteProfile& profile);

// A shipped profile's name, or a file (anything with a slash or a dot). Throws usage_error for an unknown
// name, bad_data "FILE:LINE: …" for what the file gets wrong.
SiteProfile load_site_profile(const std::string& name_or_file);
SiteProfile site_profile_from_text(const std::string& text, const std::string& file);

std::vector<std::string> shipped_site_profiles();  // names, sorted

}  // namespace shardrift::slurm
