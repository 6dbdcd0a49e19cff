// From a job plan to jobs: writes the scripts, hands them to sbatch.
#pragma once
#include <string>
#include <vector>

#include "slurm/job_plan.hpp"
#include "slurm/site_profile.hpp"
#include "slurm/submission.hpp"

namespace shardrift::slurm {

// One call of sbatch. Ids are known only while submitting: `after` names arrays and task indices.
struct SbatchCall {
  std::string script;              // "2-ranks.sbatch"
  std::vector<std::string> after;  // "1-rank[0]": must have succeeded; "2-ranks": must have ended
  bool is_analysis = false;
};
std::vector<SbatchCall> sbatch_calls(const JobPlan& plan);

// Scripts, task.sh, a copy of the profile, links logs/NAME.log; what an earlier submission said about these
// configurations goes. Throws failure naming the file.
void write_scripts(const JobPlan& plan, const SiteProfile& profile);

// Throws usage_error in words where the cluster cannot hold the plan, or sbatch refuses; then nothing stays
// in the queue. `all`: the whole study, finished configurations included.
Submission hand_over(const JobPlan& plan, const SiteProfile& profile,
                     const std::vector<study::Configuration>& all, const std::string& now);

// Throws usage_error where jobs of an earlier submission are still in the queue.
void refuse_second_submission(const std::filesystem::path& output);

// Ends the submission's jobs; recorded prompts stay. The number of jobs that were still there.
int cancel(const Submission& submission);

}  // namespace shardrift::slurm
