#include "slurm/words.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "common/text.hpp"

namespace shardrift::slurm {
namespace {

// squeue's reasons (man squeue, JOB REASON CODES), those that a user can do something about or must only wait
// for.
constexpr std::array kPending{
    std::pair{"Resources", "waits for free nodes"},
    std::pair{"Priority", "other jobs are before it"},
    std::pair{"Dependency", "waits for the runs it depends on"},
    std::pair{"DependencyNeverSatisfied", "what it waits for failed: shardrift cancel, then submit again"},
    std::pair{"BeginTime", "was requeued, starts again in a moment"},
    std::pair{"JobArrayTaskLimit", "the profile's at_once tasks are running"},
    std::pair{"None", "not yet looked at by the scheduler"},
    std::pair{"BadConstraints",
              "no node has what is asked for: see constraint, gpu_type and ranks_per_node in the profile"},
    std::pair{"PartitionDown", "the partition is down: ask the site's admins"},
    std::pair{"PartitionInactive", "the partition is inactive: ask the site's admins"},
    std::pair{"PartitionNodeLimit", "asks for more nodes than the partition allows: see ranks_per_node"},
    std::pair{"PartitionTimeLimit", "time_limit in the profile is longer than the partition allows"},
    std::pair{"PartitionConfig",
              "the partition cannot hold it: see partition and ranks_per_node in the profile"},
    std::pair{"ReqNodeNotAvail", "nodes it needs are down or reserved"},
    std::pair{"Reservation", "waits for its reservation"},
    std::pair{"JobHeldUser", "held: scontrol release lets it go on"},
    std::pair{"JobHeldAdmin", "held by an admin: ask them"},
    std::pair{"AccountNotAllowed", "the account may not use this partition: see account in the profile"},
    std::pair{"InvalidAccount", "the account does not exist: see account in the profile"},
    std::pair{"InvalidQOS", "the QOS does not exist: see qos in the profile"},
    std::pair{"Licenses", "waits for a licence"},
    std::pair{"Cleaning", "is being requeued"},
    std::pair{"NodeDown", "a node it needs is down"},
    std::pair{"SystemFailure", "Slurm had a failure of its own"},
};

constexpr std::array kEnded{
    std::pair{"NODE_FAIL", "its node failed: submit again, it goes on"},
    std::pair{"BOOT_FAIL", "its node did not start: submit again"},
    std::pair{"OUT_OF_MEMORY", "out of memory: raise memory in the profile, or take more ranks"},
    std::pair{
        "TIMEOUT",
        "reached the time limit before it could write what it had: raise signal_seconds in the profile, "
        "then submit again, it goes on"},
    std::pair{"PREEMPTED", "preempted: submit again, it goes on"},
    std::pair{"CANCELLED", "cancelled; submit again, it goes on"},
    std::pair{"DEADLINE", "cancelled at its deadline"},
    std::pair{"COMPLETED", "ended without leaving a record: see its log"},
    std::pair{"FAILED", "ended without a word (killed, or before it began): see its log"},
};

std::string limit_words(const std::string& reason) {
  const bool quota =
      reason.starts_with("Assoc") || reason.starts_with("QOS") || reason.find("Limit") != std::string::npos;
  if (!quota) return {};
  if (reason.starts_with("QOS"))
    return "a limit of the QOS is reached: waits for other jobs, or needs another qos";
  if (reason.starts_with("Assoc"))
    return "a limit of the account is reached: waits for the account's other jobs";
  return "a limit is reached";
}

std::set<std::string> partitions_of(const std::vector<NodeInfo>& nodes) {
  std::set<std::string> names;
  for (const auto& node : nodes) names.insert(node.partition);
  return names;
}

std::vector<NodeInfo> nodes_of(const std::vector<NodeInfo>& nodes, const std::string& partition) {
  const auto names = split(partition, ',');  // sbatch takes several: "gpu-short,gpu"
  std::vector<NodeInfo> chosen;
  std::copy_if(nodes.begin(), nodes.end(), std::back_inserter(chosen), [&](const NodeInfo& node) {
    return names.empty() ? node.is_default
                         : std::find(names.begin(), names.end(), node.partition) != names.end();
  });
  return chosen;
}

// The first name that the cluster does not have; empty: it has them all.
std::string missing_partition(const std::vector<NodeInfo>& nodes, const std::string& partition) {
  const auto there = partitions_of(nodes);
  for (const auto& name : split(partition, ','))
    if (!there.contains(name)) return name;
  return {};
}

std::string gpus_text(const std::vector<NodeInfo>& nodes) {
  std::set<std::string> texts;
  for (const auto& node : nodes) {
    std::vector<std::string> kinds;
    for (const auto& [type, count] : node.gpus)
      kinds.push_back(type.empty() ? fmt::format("{} without a type", count)
                                   : fmt::format("{} x {}", count, type));
    texts.insert(kinds.empty() ? "no GPU" : fmt::format("{}", fmt::join(kinds, " + ")));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string features_text(const std::vector<NodeInfo>& nodes) {
  std::set<std::string> features;
  for (const auto& node : nodes) features.insert(node.features.begin(), node.features.end());
  return features.empty() ? "none" : fmt::format("{}", fmt::join(features, ", "));
}

std::string partition_text(const std::string& name) {
  return name.empty() ? "the default partition" : "partition " + name;
}

bool has_feature(const NodeInfo& node, const std::string& constraint) {
  return constraint.empty() ||
         std::find(node.features.begin(), node.features.end(), constraint) != node.features.end();
}

bool is_one_word(const std::string& constraint) {  // not an expression such as "a|b", "a&b", "[a*2]"
  return constraint.find_first_of("|&[]()*!") == std::string::npos;
}

// GPUs of one node that the profile's request can count on.
int usable_gpus(const NodeInfo& node, const SiteProfile& profile) {
  if (profile.gpu_type.empty()) return node.all_gpus();
  const auto found = node.gpus.find(profile.gpu_type);
  return found == node.gpus.end() ? 0 : found->second;
}

}  // namespace

std::string pending_words(const QueueEntry& entry) {
  auto reason = entry.reason;
  if (const auto end = reason.find_first_of(",("); end != std::string::npos)
    reason.resize(end);  // details follow
  std::string words;
  for (const auto& [name, text] : kPending)
    if (reason == name) words = text;
  if (words.empty()) words = limit_words(reason);
  if (words.empty()) words = "pending";
  words += fmt::format(" ({})", entry.reason);
  if (!entry.start.empty() && entry.start != "N/A") words += ", expected " + entry.start;
  return words;
}

std::string ended_words(const std::string& state, const std::string& reason) {
  if (reason == "DependencyNeverSatisfied") return "not started: a run whose record it reads failed";
  for (const auto& [name, text] : kEnded)
    if (state.starts_with(name)) return text;
  return "ended as " + state;
}

std::string refusal_words(const std::string& error, const JobSettings& job, const SiteProfile& profile,
                          const std::vector<NodeInfo>& nodes) {
  const auto has = [&](const char* part) { return error.find(part) != std::string::npos; };
  const auto here = nodes_of(nodes, job.partition);
  std::string words;
  if (has("nvalid partition"))
    words = fmt::format("this cluster has no partition {}; it has {}", job.partition,
                        fmt::join(partitions_of(nodes), ", "));
  else if (has("nvalid account") || has("nvalid qos"))
    words = fmt::format(
        "account '{}' and qos '{}' are not yours here: `sacctmgr show assoc user=$USER` lists them",
        job.account, job.qos);
  else if (has("nvalid feature"))
    words = fmt::format("no node has constraint {}; features of {}: {}", job.constraint,
                        partition_text(job.partition), features_text(here));
  else if (has("node configuration is not available"))
    words = fmt::format("no node of {} has what is asked for; its nodes have {}",
                        partition_text(job.partition), gpus_text(here));
  else if (has("ime limit"))
    words =
        fmt::format("time_limit {} is longer than {} allows", job.time_limit, partition_text(job.partition));
  if (words.empty()) return fmt::format("sbatch refused: {} (site profile {})", error, profile.name);
  return fmt::format("{} (site profile {}; sbatch: {})", words, profile.name, error);
}

std::vector<std::string> misfits(const std::vector<JobArray>& arrays, const SiteProfile& profile,
                                 const std::vector<NodeInfo>& nodes) {
  for (const auto& partition : {profile.run.partition, profile.analysis.partition})
    if (const auto missing = missing_partition(nodes, partition); !missing.empty())
      return {fmt::format("this cluster has no partition {}; it has {} (site profile {})", missing,
                          fmt::join(partitions_of(nodes), ", "), profile.name)};
  auto here = nodes_of(nodes, profile.run.partition);
  if (here.empty() && !nodes.empty())
    return {
        fmt::format("this cluster has no default partition: set partition in site profile {} to one of {}",
                    profile.name, fmt::join(partitions_of(nodes), ", "))};
  if (is_one_word(profile.run.constraint))
    std::erase_if(here, [&](const NodeInfo& node) { return !has_feature(node, profile.run.constraint); });
  std::vector<std::string> found;
  const auto where = partition_text(profile.run.partition);
  if (here.empty() && !nodes.empty())
    found.push_back(fmt::format("no node of {} has constraint {}; it has {} (site profile {})", where,
                                profile.run.constraint, features_text(nodes_of(nodes, profile.run.partition)),
                                profile.name));
  const bool on_gpus =
      std::any_of(arrays.begin(), arrays.end(), [](const JobArray& array) { return array.device == "cuda"; });
  if (here.empty() || !on_gpus) return found;
  if (profile.gpus == GpuRequest::none)
    found.push_back(
        fmt::format("the study runs on GPUs, but site profile {} has gpus = \"none\"", profile.name));
  std::set<std::string> types;
  for (const auto& node : here)
    for (const auto& [type, count] : node.gpus) types.insert(type);
  if (types.size() > 1 && profile.gpu_type.empty())
    found.push_back(
        fmt::format("{} has GPUs of several models ({}): set gpu_type (or constraint) in site profile {}, so "
                    "that all runs get the same",
                    where, fmt::join(types, ", "), profile.name));
  for (const auto& array : arrays) {
    if (array.device != "cuda") continue;
    const auto fitting = std::count_if(here.begin(), here.end(), [&](const NodeInfo& node) {
      return usable_gpus(node, profile) >= array.ranks_per_node;
    });
    if (fitting < array.nodes)
      found.push_back(fmt::format("{} needs {} node{} with {} GPUs{}; {} has {} (site profile {})",
                                  array.name, array.nodes, array.nodes == 1 ? "" : "s", array.ranks_per_node,
                                  profile.gpu_type.empty() ? "" : " of type " + profile.gpu_type, where,
                                  gpus_text(here), profile.name));
  }
  return found;
}

}  // namespace shardrift::slurm
