// The texts that sbatch gets. Everything that is the same for all tasks is in templates/task.sh, which the
// scripts source: they hold what a reader wants to see, which resources and which commands.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "slurm/job_plan.hpp"
#include "slurm/site_profile.hpp"

namespace shardrift::slurm {

std::string array_script(const JobPlan& plan, const JobArray& array, const SiteProfile& profile);
std::string analysis_script(const JobPlan& plan, const SiteProfile& profile);
std::string_view task_script();  // task.sh, as it is shipped

// One word of a bash command, quoted where it must be.
std::string bash_word(const std::string& text);
std::string bash_words(const std::vector<std::string>& words);

}  // namespace shardrift::slurm
