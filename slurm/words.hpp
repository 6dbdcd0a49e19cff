// Slurm's answers in sentences that say what to do.
#pragma once
#include <string>
#include <vector>

#include "slurm/job_plan.hpp"
#include "slurm/site_profile.hpp"
#include "slurm/slurm_commands.hpp"

namespace shardrift::slurm {

// Why a job is pending. Slurm's own word stays, in brackets.
std::string pending_words(const QueueEntry& entry);

// How a job ended that left no words of its own: NODE_FAIL, TIMEOUT, OUT_OF_MEMORY, …
std::string ended_words(const std::string& state, const std::string& reason);

// What sbatch refused, with what the cluster has instead. error: sbatch's own words.
std::string refusal_words(const std::string& error, const JobSettings& job, const SiteProfile& profile,
                          const std::vector<NodeInfo>& nodes);

// What the cluster cannot give to these arrays, seen before anything is submitted; empty: nothing is wrong.
// Among them nodes with GPUs of several models where the profile does not choose one.
std::vector<std::string> misfits(const std::vector<JobArray>& arrays, const SiteProfile& profile,
                                 const std::vector<NodeInfo>& nodes);

}  // namespace shardrift::slurm
