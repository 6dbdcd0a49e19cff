#include "analysis/explain/recorded_profile.hpp"

#include <utility>

#include <map>

#include "common/error.hpp"
#include "parallel/plan/plan_json.hpp"

namespace shardrift::analysis {
namespace {

ProbedCollective probed_of(const record::CollectiveInfo& info) {
  ProbedCollective probed;
  probed.operation = named<CollectiveOperation>("operation", info.operation);
  probed.probe.ranks = info.ranks;
  probed.probe.count = info.count;
  probed.probe.dtype = named<DType>("dtype", info.dtype);
  probed.captured = info.captured;
  probed.probe.calls = info.ranks * (info.ranks - 1) / 2;  // one a pair of ranks (parallel/probe)
  std::map<std::int64_t, std::int32_t> index_of;  // in the record -> in the probe, in order of first use
  for (const auto& segment : info.segments) {
    const std::string& tree = info.trees.at(static_cast<std::size_t>(segment.tree));
    const auto next = static_cast<std::int32_t>(probed.probe.trees.size());
    const auto [known, is_new] = index_of.try_emplace(segment.tree, tree == "not binary" ? kNotBinary : next);
    if (is_new && known->second != kNotBinary) probed.probe.trees.push_back(tree_from_string(tree));
    probed.probe.segments.push_back({segment.begin, segment.end, known->second});
  }
  return probed;
}

// The maps of those collectives that `wanted` picks.
template <typename Wanted>
std::optional<CollectiveProfile> profile_of(const record::RunInfo& run, const Wanted& wanted) {
  CollectiveProfile profile;
  for (const auto& info : run.environment.collectives) {
    if (!wanted(info) || info.library == "local") continue;
    try {
      profile.add(probed_of(info));
    } catch (const Error& error) {
      throw bad_data("/environment/collectives: the {} of {} elements: {}", info.operation, info.count,
                     error.what());
    }
    profile.library = info.library;
    profile.library_version = info.version;
    profile.transport = info.library;
    // Our own name themselves, also where a run's short probe said nothing of rounding.
    if (const auto ours = from_name<Collective>(info.algorithm); info.library == "shardrift" && ours) {
      profile.transport = info.algorithm;
      profile.model = PeerModel{*ours};
    }
    profile.ranks = info.ranks;
  }
  if (profile.probed.empty()) return std::nullopt;
  if (!run.environment.devices.empty()) {
    profile.device = run.environment.devices.front().name;
    profile.machine = run.environment.devices.front().host;
  }
  profile.date = run.created;
  return profile;
}

}  // namespace

std::optional<CollectiveProfile> recorded_profile(const record::RunInfo& run) {
  return profile_of(run, [](const auto& info) { return info.source == "probed"; });
}

std::optional<CollectiveProfile> recorded_profile_of_fold(const record::RunInfo& run) {
  auto profile =
      profile_of(run, [](const auto& info) { return info.source == "profile" || info.source == "model"; });
  if (!profile) return std::nullopt;
  // Where it rounded the maps do not say; the plan that folded by them does.
  const auto accumulator = plan_from_json(run.plan).reduction.accumulator;
  for (auto& one : profile->probed) one.probe.accumulator = accumulator;
  return profile;
}

std::optional<CollectiveProfile> recorded_profile_of_eager(const record::RunInfo& run) {
  auto profile = recorded_profile(run);
  if (!profile) return std::nullopt;
  const auto probed = profile->probed;
  for (auto one : probed)
    if (std::exchange(one.captured, false)) profile->add(std::move(one));
  return profile;
}

}  // namespace shardrift::analysis
