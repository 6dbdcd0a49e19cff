// A study's configurations as Slurm jobs: which share an array, how many nodes each takes, who waits for
// whom. Pure: nothing is asked of Slurm.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/study/configuration.hpp"
#include "slurm/site_profile.hpp"

namespace shardrift::slurm {

// One array job: configurations of the same size that wait for the same records.
struct JobArray {
  std::string name;                         // "2-ranks": of the script; of the job after the study's name
  std::vector<study::Configuration> tasks;  // by array index
  std::string device;                       // cpu | cuda
  int ranks = 1;                            // of every task
  int nodes = 1;
  int ranks_per_node = 1;
  std::vector<std::string>
      after;  // configurations whose records the tasks read; those not in this plan exist
};

struct JobPlan {
  std::string study;                // its name
  std::filesystem::path file;       // of the study, absolute
  std::filesystem::path output;     // folder of the records, absolute
  std::filesystem::path folder;     // output / "slurm": scripts, logs, states
  std::filesystem::path directory;  // where the jobs start: relative paths are relative to it
  std::filesystem::path worker;     // shardrift-run
  std::filesystem::path program;    // shardrift
  // Further words of `shardrift study` that make the analysis plan the same study: --device, --set, …
  std::vector<std::string> study_options;
  std::vector<JobArray> arrays;  // what is waited for comes first
};

// Fills in arrays. Throws usage_error for a size that the profile's nodes cannot hold, for names that #SBATCH
// lines cannot hold, and for configurations that wait for each other.
JobPlan plan_jobs(JobPlan plan, const std::vector<study::Configuration>& configurations,
                  const SiteProfile& profile);

// Where the array and index of a configuration are; nullptr, -1: not in the plan.
struct TaskPlace {
  const JobArray* array = nullptr;
  int index = -1;
};
TaskPlace find_task(const JobPlan& plan, const std::string& configuration);

}  // namespace shardrift::slurm
