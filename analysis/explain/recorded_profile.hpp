// The collective profile that a live run's own record holds: the maps it was seen to add by, at every size it
// used. What predicts that run without its machine.
#pragma once
#include <optional>

#include "parallel/profile/profile.hpp"
#include "record/record.hpp"

namespace shardrift::analysis {

// nullopt where the record has no probed maps (one rank, local folds, an older file). Throws bad_data where
// they are no order maps.
std::optional<CollectiveProfile> recorded_profile(const record::RunInfo& run);
// The maps that a run on one device folded by (--reduction profile), which a profile or its model gave it,
// and where it rounded. nullopt: it folded by none. Throws bad_data likewise.
std::optional<CollectiveProfile> recorded_profile_of_fold(const record::RunInfo& run);
// recorded_profile for runs that are launched eagerly and fold as this one summed, whose decode passes may
// have been captured.
std::optional<CollectiveProfile> recorded_profile_of_eager(const record::RunInfo& run);

}  // namespace shardrift::analysis
