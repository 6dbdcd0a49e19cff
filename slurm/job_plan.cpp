#include "slurm/job_plan.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "common/error.hpp"

namespace shardrift::slurm {
namespace {

using study::Configuration;

// The fewest nodes that hold `ranks` in equal shares: uneven ones cannot be asked for by --gpus-per-node.
int nodes_for(const Configuration& configuration, const SiteProfile& profile) {
  for (int nodes = (configuration.ranks + profile.ranks_per_node - 1) / profile.ranks_per_node;
       nodes <= configuration.ranks; ++nodes)
    if (configuration.ranks % nodes == 0) return nodes;
  throw usage_error("configuration {} has {} ranks", configuration.name, configuration.ranks);
}

// sbatch expands % in file names and reads quotes and backslashes in its own way.
void check_path(const std::filesystem::path& path, const char* what) {
  const auto& text = path.native();
  const bool control =
      std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
  if (control || text.find_first_of("%\"\\") != std::string::npos)
    throw usage_error(
        "{} '{}' holds a character that #SBATCH lines cannot: choose a path without % \" and \\", what, text);
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

bool fits(const JobArray& array, const Configuration& configuration, const std::vector<std::string>& after) {
  return array.ranks == configuration.ranks && array.device == configuration.device && array.after == after;
}

std::string base_name(const JobArray& array) {
  auto name = fmt::format("{}-rank{}", array.ranks, array.ranks == 1 ? "" : "s");
  if (!array.after.empty()) name += "-after-" + array.after.front();
  return name;
}

void name_arrays(std::vector<JobArray>& arrays) {
  std::set<std::string> taken{"analysis"};
  for (auto& array : arrays) {
    const auto base = base_name(array);
    array.name = base;
    for (int n = 2; !taken.insert(array.name).second; ++n) array.name = fmt::format("{}-{}", base, n);
  }
}

// What waits for nothing first, then what waits for that, and so on: one array never waits for itself.
std::vector<JobArray> arrays_of(const std::vector<Configuration>& configurations,
                                const SiteProfile& profile) {
  std::set<std::string> waiting;
  for (const auto& one : configurations) waiting.insert(one.name);
  std::vector<JobArray> arrays;
  while (!waiting.empty()) {
    const auto begin = arrays.size();
    std::vector<std::string> placed;
    for (const auto& one : configurations) {
      if (!waiting.contains(one.name)) continue;
      const auto after = sorted(one.after);
      if (std::any_of(after.begin(), after.end(), [&](const auto& name) { return waiting.contains(name); }))
        continue;
      auto array = std::find_if(arrays.begin() + static_cast<std::ptrdiff_t>(begin), arrays.end(),
                                [&](const JobArray& other) { return fits(other, one, after); });
      if (array == arrays.end()) {
        const int nodes = nodes_for(one, profile);
        arrays.push_back({"", {}, one.device, one.ranks, nodes, one.ranks / nodes, after});
        array = arrays.end() - 1;
      }
      array->tasks.push_back(one);
      placed.push_back(one.name);
    }
    if (placed.empty())
      throw usage_error("configurations {} wait for each other's records", fmt::join(waiting, ", "));
    for (const auto& name : placed) waiting.erase(name);
  }
  name_arrays(arrays);
  return arrays;
}

}  // namespace

JobPlan plan_jobs(JobPlan plan, const std::vector<Configuration>& configurations,
                  const SiteProfile& profile) {
  check_path(plan.folder, "the output folder");
  check_path(plan.directory, "the current folder");
  plan.arrays = arrays_of(configurations, profile);
  return plan;
}

TaskPlace find_task(const JobPlan& plan, const std::string& configuration) {
  for (const auto& array : plan.arrays)
    for (std::size_t i = 0; i < array.tasks.size(); ++i)
      if (array.tasks[i].name == configuration) return {&array, static_cast<int>(i)};
  return {};
}

}  // namespace shardrift::slurm
