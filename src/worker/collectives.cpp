#include "worker/collectives.hpp"

#include "common/error.hpp"
#include "parallel/probe/probe.hpp"
#include "worker/probed_sums.hpp"

namespace shardrift {
namespace {

record::CollectiveInfo info_of(std::int64_t count, DType dtype, int ranks,
                               const std::vector<OrderSegment>& segments, const std::vector<SumTree>& trees) {
  record::CollectiveInfo info;
  info.operation = name_of(CollectiveOperation::all_reduce);
  info.count = count;
  info.dtype = name_of(storage_of(dtype));
  info.ranks = ranks;
  for (const auto& tree : trees) info.trees.push_back(to_string(tree));
  for (const auto& segment : segments) {
    std::int64_t tree = segment.tree;
    if (segment.tree == kNotBinary) {
      if (info.trees.size() == trees.size()) info.trees.emplace_back("not binary");
      tree = static_cast<std::int64_t>(trees.size());
    }
    info.segments.push_back({segment.begin, segment.end, tree});
  }
  return info;
}

}  // namespace

std::set<std::int64_t> message_counts(const RunOptions& options, const ModelConfig& config,
                                      const std::vector<Job>& jobs) {
  std::set<std::int64_t> counts;
  for (const auto& job : jobs)
    counts.insert(static_cast<std::int64_t>(job.prompt.tokens.size()) * config.hidden);
  if (options.mode != Mode::score) counts.insert(options.plan.batch * config.hidden);
  return counts;
}

std::optional<CollectiveProfile> open_profile(const RunOptions& options,
                                              const std::set<std::int64_t>& counts) {
  const Plan& plan = options.plan;
  if (!plan.reduction.needs_profile()) {
    if (!options.collective_profile.empty())
      throw usage_error("--collective-profile {}: only --reduction profile reads one",
                        options.collective_profile.string());
    return std::nullopt;
  }
  if (options.collective_profile.empty())
    throw usage_error(
        "--reduction profile needs --collective-profile FILE: shipped ones lie in experiments/profiles, "
        "shardrift-run probe --save-profile makes one");
  auto profile = read_profile(options.collective_profile);
  if (profile.ranks != plan.shards)
    throw usage_error("{}: a profile of {} ranks predicts --shards {}, not {}",
                      options.collective_profile.string(), profile.ranks, profile.ranks, plan.shards);
  for (const auto count : counts) profile.map_for(CollectiveOperation::all_reduce, plan.dtype, count);
  return profile;
}

OrderMapSource orders_of(const CollectiveProfile& profile, DType dtype) {
  return [&profile, dtype](std::int64_t count) {
    return profile.map_for(CollectiveOperation::all_reduce, dtype, count);
  };
}

std::vector<record::CollectiveInfo> predicted_collectives(const CollectiveProfile& profile, DType dtype,
                                                          const std::set<std::int64_t>& counts) {
  std::vector<record::CollectiveInfo> infos;
  for (const auto count : counts) {
    const OrderMap map = profile.map_for(CollectiveOperation::all_reduce, dtype, count);
    auto info = info_of(count, dtype, profile.ranks, map.segments, map.trees);
    info.library = profile.library;
    info.version = profile.library_version;
    info.source = profile.find(CollectiveOperation::all_reduce, storage_of(dtype), count) != nullptr
                      ? "profile"
                      : "model";
    infos.push_back(std::move(info));
  }
  return infos;
}

std::vector<record::CollectiveInfo> observed_collectives(Transport& transport, Backend& backend, DType dtype,
                                                         const std::set<std::int64_t>& counts) {
  std::vector<record::CollectiveInfo> infos;
  if (transport.size() < 2 || transport.size() > kMaxProbeRanks) return infos;
  for (const auto count : counts) {
    const auto sum = live_sum(transport, backend, transport.name() == "nccl" ? Device::cuda : Device::cpu,
                              CollectiveOperation::all_reduce, count, storage_of(dtype));
    const auto probe = probe_sum(transport.size(), count, storage_of(dtype), sum, false);
    auto info = info_of(count, dtype, transport.size(), probe.segments, probe.trees);
    info.library = transport.name();
    info.source = "probed";
    infos.push_back(std::move(info));
  }
  return infos;
}

}  // namespace shardrift
